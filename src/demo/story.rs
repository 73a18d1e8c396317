//! What the demo shows: a request passes, its token is taken back, the same request is refused.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use http::{Method, StatusCode};
use serde_json::json;

use super::call::{Answer, call};
use super::{Stage, write_private};

/// Waits until the gateway says that it is ready: sockets, keys, checkpoint.
pub(super) async fn until_ready(stage: &Stage) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        if let Ok(answer) = call(stage.control, Method::GET, "/readyz", None, None).await
            && answer.status == StatusCode::OK
        {
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(20), "the gateway did not become ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Plays the story, checks each step, and tells it.
pub(super) async fn play(stage: &Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    introduce(stage, out)?;
    let (phone, phone_id) = stage.issuer.token("alice", "access");
    let (laptop, _) = stage.issuer.token("alice", "access");
    let (refresh, _) = stage.issuer.token("alice", "refresh");
    let get = |token| call(stage.gateway, Method::GET, "/orders/42", token, None);

    let answer = get(None).await?;
    tell(out, "1. nobody asks for /orders/42", &answer, StatusCode::UNAUTHORIZED)?;
    let answer = get(Some(&phone)).await?;
    tell(out, "2. alice asks, from her phone", &answer, StatusCode::OK)?;
    let answer = get(Some(&refresh)).await?;
    tell(out, "3. a refresh token on an access route", &answer, StatusCode::UNAUTHORIZED)?;
    let answer = call(stage.gateway, Method::POST, "/refresh", Some(&refresh), None).await?;
    tell(out, "4. the same on the refresh route", &answer, StatusCode::OK)?;

    let begun = Instant::now();
    let body = json!({ "token": &*phone, "reason": "the phone was stolen" });
    let answer = revoke(stage, body).await?;
    let took = begun.elapsed();
    tell(out, "5. the phone's token is revoked", &answer, StatusCode::CREATED)?;
    writeln!(out, "     fsynced and enforced on every worker {took:.1?} after the call began")?;
    let answer = get(Some(&phone)).await?;
    tell(out, "6. the phone asks again", &answer, StatusCode::UNAUTHORIZED)?;
    let answer = get(Some(&laptop)).await?;
    tell(out, "7. the laptop still may", &answer, StatusCode::OK)?;

    let target = format!("/v1/revocations?claim=jti&value={phone_id}");
    let answer =
        call(stage.control, Method::DELETE, &target, Some(&stage.credential), None).await?;
    ensure!(answer.status.is_success(), "reinstating answered {}", answer.status);
    let answer = get(Some(&phone)).await?;
    tell(out, "8. the phone was found: reinstated", &answer, StatusCode::OK)?;
    let body = json!({ "claim": "sub", "value": "alice", "reason": "log out everywhere" });
    let answer = revoke(stage, body).await?;
    tell(out, "9. alice logs out everywhere", &answer, StatusCode::CREATED)?;
    for (device, token) in [("phone", &phone), ("laptop", &laptop)] {
        let answer = get(Some(token)).await?;
        tell(out, &format!("   the {device} asks"), &answer, StatusCode::UNAUTHORIZED)?;
    }
    writeln!(out, "\nThat was the real gateway: its workers, its store, its control port.")?;
    Ok(())
}

/// Says where everything is and what to type.
pub(super) fn invite(stage: &Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    introduce(stage, out)?;
    let (alice, _) = stage.issuer.token("alice", "access");
    let folder = stage.folder.display();
    let (gateway, control) = (stage.gateway, stage.control);
    let header = |name: &str, text: String| write_private(&stage.folder.join(name), &text);
    header("alice.header", format!("Authorization: Bearer {alice}\n"))?;
    header("control.header", format!("Authorization: Bearer {}\n", stage.credential))?;
    header("alice.json", json!({ "token": &*alice, "reason": "logged out" }).to_string())?;
    writeln!(out, "Try, in another terminal:\n")?;
    writeln!(out, "  # a request passes")?;
    writeln!(out, "  curl -i -H @{folder}/alice.header http://{gateway}/orders/42\n")?;
    writeln!(out, "  # its token is taken back")?;
    writeln!(out, "  curl -i -H @{folder}/control.header -H 'Content-Type: application/json' \\")?;
    writeln!(out, "    -d @{folder}/alice.json http://{control}/v1/revocations\n")?;
    writeln!(out, "  # the same request is refused")?;
    writeln!(out, "  curl -i -H @{folder}/alice.header http://{gateway}/orders/42\n")?;
    writeln!(out, "  # what has been taken back")?;
    writeln!(out, "  curl -s -H @{folder}/control.header http://{control}/v1/revocations\n")?;
    writeln!(out, "Ctrl-C ends the demo and removes its folder.")?;
    out.flush().context("writing the invitation")
}

fn introduce(stage: &Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "portcullis demo: a sample issuer and upstream, the real gateway in front\n")?;
    writeln!(out, "  gateway   http://{}   (the listener your clients would use)", stage.gateway)?;
    writeln!(out, "  control   http://{}   (where tokens are taken back)", stage.control)?;
    writeln!(out, "  folder    {}   (gateway.toml, revocations.redb)\n", stage.folder.display())?;
    Ok(())
}

async fn revoke(stage: &Stage, body: serde_json::Value) -> anyhow::Result<Answer> {
    let credential = Some(&*stage.credential);
    call(stage.control, Method::POST, "/v1/revocations", credential, Some(body)).await
}

/// Tells one step, and fails the demo when it did not go as the story has it.
fn tell(out: &mut dyn Write, step: &str, answer: &Answer, want: StatusCode) -> anyhow::Result<()> {
    let detail = &answer.body["code"];
    let detail = detail.as_str().unwrap_or(if answer.status.is_success() { "" } else { "?" });
    writeln!(out, "{step:<42} {} {detail}", answer.status.as_u16())?;
    ensure!(answer.status == want, "{step}: {} instead of {want}: {}", answer.status, answer.body);
    Ok(())
}
