//! The HTTP face of the store: as much of the Kubernetes API as `kubectl` and kube-rs use.
