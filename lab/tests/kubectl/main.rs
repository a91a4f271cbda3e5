//! The real `kubectl` against the lab's API server, in this process on a loopback port of its own.
//!
//! No nodes run here: [`Cluster::play_kubelet`] stands in for the kubelet, and the tests themselves
//! write what controllers would.
//! Without `kubectl` on the machine the tests say so and pass, except where `CI` is set.

mod changes;
mod cluster;
mod creations;
mod endings;
mod tables;

pub(crate) const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
        env: [{name: COLOUR, value: red}]
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: lone, labels: {app: lone}}
spec: {containers: [{name: c, image: lone:1}]}
";
