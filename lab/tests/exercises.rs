//! The exercises: each is set up by its command, and the trace that its page names says the answer.

mod stage;

use std::process::Command;

use lab::Lab;
use lab::exercise::Exercise;
use lab::network::Network;

use stage::{EXE, PATIENCE, output, product_on, told};

fn exercise(lab: &Lab, words: &[&str]) -> Command {
    let mut command = Command::new(EXE);
    command.args(["exercise", "--name", lab.name()]).args(words);
    command
}

#[test]
fn every_exercise_has_the_answer_that_its_page_gives() {
    let Some(lab) = product_on("exercises", 2, Network::default(), &[]) else {
        return;
    };
    for (index, task) in Exercise::all().iter().enumerate() {
        let number = (index + 1).to_string();
        let asked = output(exercise(&lab, &[&number]));
        assert!(asked.starts_with(task.question), "{asked}");
        let words = format!("trace {} -o short", task.trace);
        let words: Vec<&str> = words.split(' ').collect();
        let says = || {
            let said = lab.flatnet(&words).output().expect("it runs");
            let text = told(&said);
            let right = text.contains(task.answer);
            Ok(right.then_some(()))
        };
        // Pods and agents take a moment.
        let found = lab.wait(&format!("exercise {number}"), PATIENCE, says);
        found.unwrap_or_else(|error| {
            let said = lab.flatnet(&words).output().expect("it runs");
            panic!("{error}: {}", told(&said))
        });
        let right = output(exercise(&lab, &[&number, task.answer]));
        assert!(right.starts_with("Yes."), "{right}");
        let wrong = exercise(&lab, &[&number, "nobody"]).output();
        assert!(!wrong.expect("it runs").status.success());
    }
}
