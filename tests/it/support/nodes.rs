//! Announcements, and doing a little of everything with a roster.

use std::time::Duration;

use portcullis::revocation::{
    Audience, Cursor, Ear, Epoch, FeedError, NodeName, NodeRoster, Presence,
};
use uuid::Uuid;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a node of this name says, for so many milliseconds.
pub(crate) fn presence(name: &str, lasts: u64) -> Presence {
    Presence {
        node: NodeName { name: name.into(), id: Uuid::new_v4() },
        lasts,
        epoch: Some(Epoch(Uuid::from_u128(7))),
        cursor: Some(Cursor::new("12-3")),
        staleness: Some(40),
    }
}

/// The next message.
pub(crate) async fn heard(ear: &mut Ear) -> Vec<u8> {
    let heard = tokio::time::timeout(PATIENCE, ear.hear()).await.expect("in time");
    heard.expect("the connection stands")
}

/// Everything that a node does with it.
pub(crate) async fn use_roster(roster: &impl NodeRoster) -> Result<(), FeedError> {
    let presence = presence("a", 60_000);
    roster.announce(&presence).await?;
    assert_eq!(roster.nodes().await?.first().map(|node| &node.presence), Some(&presence));
    let mut ear = roster.listen(presence.node.id).await?;
    for to in [Audience::All, Audience::Node(presence.node.id)] {
        roster.tell(to, b"1".to_vec()).await?;
        assert_eq!(heard(&mut ear).await, b"1");
    }
    roster.withdraw(presence.node.id).await?;
    assert_eq!(roster.nodes().await?, []);
    Ok(())
}
