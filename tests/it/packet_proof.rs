//! A proof shows what happened, and nothing else passes: our verifier, and a stranger's script.

use crate::packet_rig::{rain, request, terms};
use fanfare::packet::proof::{Flaw, Linked, Proof, Used};
use fanfare::packet::{Change, Chunk, Rain, Sum};
use std::fs;
use std::process::Command;

/// Draws until `draws` are used up; winners take a packet each.
fn play(rain: &mut Rain, proof: &mut Proof, draws: std::ops::Range<i64>) {
    for draw in draws {
        if !rain.wins(draw) {
            continue;
        }
        let Some((grant, opened)) = rain.grant() else { return };
        if let Some(chunk) = opened {
            proof.chunks.push(Used::of(chunk));
        }
        let used = proof.chunks.last_mut().expect("opened before it was used");
        used.draws.push(draw);
        used.amounts.push(grant.value_fen);
    }
}

fn note(rain: &Rain, proof: &mut Proof) {
    proof.versions.push(Linked { version: rain.version().clone(), hash: rain.hash() });
}

/// A rain under its first terms.
fn begun() -> (Rain, Proof) {
    let first = fanfare::packet::Terms { win_ppm: 300_000, ..terms(30_000, 200, 10, 900) };
    let rain = rain(5, &first);
    let mut proof = Proof {
        id: rain.id(),
        seed: *rain.seed(),
        commitment: rain.commitment(),
        versions: Vec::new(),
        chunks: Vec::new(),
    };
    note(&rain, &mut proof);
    (rain, proof)
}

/// A rain of three versions: the budget is raised in the middle of a chunk, then the rate.
fn played() -> Proof {
    let (mut rain, mut proof) = begun();
    play(&mut rain, &mut proof, 1..300);
    let raised =
        Change { total_amount_fen: Some(40_000), total_count: Some(250), ..Change::default() };
    rain.change(&raised, request(1_500, 300)).expect("possible");
    note(&rain, &mut proof);
    play(&mut rain, &mut proof, 300..400);
    let luckier = Change { win_ppm: Some(900_000), ..Change::default() };
    let reason =
        fanfare::packet::Request { reason: "\"mehr\" Glück\n\u{1}€", ..request(1_600, 400) };
    rain.change(&luckier, reason).expect("possible");
    note(&rain, &mut proof);
    play(&mut rain, &mut proof, 400..1_000);
    assert_eq!(rain.left(), Sum::default());
    proof
}

/// One whose amounts were changed and changed back before anybody won anything in between.
fn played_back_and_forth() -> Proof {
    let (mut rain, mut proof) = begun();
    play(&mut rain, &mut proof, 1..50);
    for (max_fen, at) in [(800, 1_500), (900, 1_600)] {
        let change = Change { max_fen: Some(max_fen), ..Change::default() };
        rain.change(&change, request(at, 50)).expect("possible");
        note(&rain, &mut proof);
    }
    play(&mut rain, &mut proof, 50..2_000);
    assert_eq!(rain.left(), Sum::default());
    proof
}

#[test]
fn amounts_that_were_changed_back_are_proven() {
    let proof = played_back_and_forth();
    assert_eq!(proof.verify().map(|shown| shown.left), Ok(Sum::default()));
    let (holds, said) = python(&proof);
    assert!(holds, "{said}");
}

fn python(proof: &Proof) -> (bool, String) {
    let dir = tempfile::tempdir().expect("a temp folder");
    let file = dir.path().join("proof.json");
    // As text: the order of the fields is part of the rule, and a map of values would sort them.
    let proof = serde_json::to_string(proof).expect("a proof encodes");
    fs::write(&file, format!("{{\"code\":0,\"msg\":\"success\",\"data\":{proof}}}"))
        .expect("written");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/verify_rain.py");
    let output = Command::new("python3").arg(script).arg(&file).output();
    let output = output.expect("python3 is needed: apt-get install python3");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_rain_with_changes_in_its_middle_is_proven_by_both() {
    let proof = played();
    let shown = proof.verify().expect("it holds");
    assert_eq!(shown.handed_out, Sum { count: 250, fen: 40_000 });
    assert_eq!((shown.left, shown.versions), (Sum::default(), 3));
    let (holds, said) = python(&proof);
    assert!(holds && said.contains("rain 7 holds: 250 packets, 40000 fen"), "{said}");
    let text = serde_json::to_string(&proof).expect("encodes");
    assert_eq!(serde_json::from_str::<Proof>(&text).expect("decodes"), proof);
}

#[test]
fn whatever_is_changed_afterwards_is_found() {
    let check = |expected: Flaw, forge: &dyn Fn(&mut Proof)| {
        let mut proof = played();
        forge(&mut proof);
        assert_eq!(proof.verify(), Err(expected.clone()));
        expected
    };
    let proof = played();
    let amount = proof.chunks[1].amounts[3];
    check(Flaw::Commitment, &|proof| proof.id += 1);
    check(Flaw::Commitment, &|proof| proof.seed = fanfare::packet::Seed::new([6; 32]));
    check(Flaw::Version(2), &|proof| proof.versions[1].version.reason.push('!'));
    check(Flaw::Version(2), &|proof| drop(proof.versions.remove(1)));
    check(Flaw::Version(3), &|proof| proof.versions[2].version.hit_ppm = 1_000_000);
    check(Flaw::Chunk(1), &|proof| proof.chunks[0].chunk.left_fen -= 1);
    check(Flaw::Chunk(2), &|proof| drop(proof.chunks.remove(1)));
    let drawn = Some(amount);
    check(Flaw::Amount { chunk: 2, place: 3, drawn, given: amount + 1 }, &|proof| {
        proof.chunks[1].amounts[3] += 1;
    });
    let won: Vec<i64> = proof.chunks.iter().flat_map(|used| used.draws.clone()).collect();
    let lost = (1..300).find(|draw| !won.contains(draw)).expect("70 % lose");
    check(Flaw::NotWon(lost), &|proof| proof.chunks[0].draws[0] = lost);
    check(Flaw::NotWon(0), &|proof| proof.chunks[0].draws[0] = 0);
    let first = won[0];
    check(Flaw::Twice(first), &|proof| proof.chunks[1].draws[0] = first);
    check(Flaw::NoVersion, &|proof| proof.versions.clear());
    // The first packet of a chunk kept back: what follows is another amount, or there is one too few.
    let is_kept_back = |flaw: Flaw| matches!(flaw, Flaw::Amount { chunk: 1, place: 1, .. });
    let mut kept_back = proof.clone();
    kept_back.chunks[0].skipped.push(0);
    assert!(is_kept_back(kept_back.verify().expect_err("another amount")));
    for skipped in [vec![64], vec![1, 1], vec![2, 1]] {
        check(Flaw::Skipped(2), &|proof| proof.chunks[1].skipped = skipped.clone());
    }
    // The last of a chunk that nothing superseded, kept back.
    check(Flaw::Chunk(2), &|proof| {
        proof.chunks[0].draws.pop();
        proof.chunks[0].amounts.pop();
    });
}

#[test]
fn a_chunk_that_is_left_early_needs_a_reason() {
    let (mut rain, mut proof) = begun();
    play(&mut rain, &mut proof, 1..50);
    let first = &proof.chunks[0];
    let handed_out = Sum {
        count: i64::try_from(first.amounts.len()).expect("few"),
        fen: first.amounts.iter().sum(),
    };
    assert!(handed_out.count < first.chunk.count());
    let next = Chunk::next(1, 1, rain.terms().left(handed_out)).expect("something is left");
    proof.chunks.push(Used::of(next));
    assert_eq!(proof.verify(), Err(Flaw::LeftEarly(1)));
    let (holds, said) = python(&proof);
    assert!(!holds && said.contains("AssertionError"), "{said}");
}

#[test]
fn a_strangers_script_finds_a_forged_amount_too() {
    let mut proof = played();
    proof.chunks[0].amounts[0] += 1;
    proof.chunks[0].amounts[1] -= 1;
    let (holds, said) = python(&proof);
    assert!(!holds && said.contains("AssertionError"), "{said}");
}
