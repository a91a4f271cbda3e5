//! The steps in their order.

use super::*;
use crate::plan::tests::{mk_plan, mk_shape};
use crate::program::HOOKS;

fn doings(steps: Vec<Step>) -> Vec<String> {
    steps.into_iter().map(|step| step.doing).collect()
}

#[test]
fn steps_of_each_end_in_their_order() {
    let plan = mk_plan(&["10.244.1.7"]);
    let (host, pod) = (&plan.host, &plan.pod);
    assert_eq!(
        doings(bring_up(pod, 5)),
        [
            "set eth0 up for its traffic".to_owned(),
            "add the address 10.244.1.7/32 to eth0".to_owned(),
            "turn eth0 on".to_owned(),
            format!("add the neighbour 169.254.1.1 ({}) to eth0", host.mac),
            "add the route to 169.254.1.1/32 through eth0".to_owned(),
            "add the route to 0.0.0.0/0 through eth0".to_owned(),
        ]
    );
    assert_eq!(
        doings(bring_up(host, 5)),
        [
            format!("set {} up for its traffic", host.name),
            format!("turn {} on", host.name),
            format!(
                "add the neighbour 10.244.1.7 ({}) to {}",
                pod.mac, host.name
            ),
            format!("add the route to 10.244.1.7/32 through {}", host.name),
        ]
    );
    let filters = HOOKS.map(|hook| filter::add_filter(&host.name, 5, hook, 3));
    assert_eq!(
        doings(filters.into()),
        ["from_pod", "to_pod"]
            .map(|name| format!("attach the program {name} to {} as a filter", host.name))
    );
}

#[test]
fn an_end_with_nothing_to_set_is_left_alone() {
    let mut end = Plan::new(&mk_shape(), &[], false).pod;
    assert!(set_up(&end, 5).is_none());
    end.alias = Some("n/c/eth0".into());
    assert!(set_up(&end, 5).is_some());
}
