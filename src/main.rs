//! portcullis
fn main() -> anyhow::Result<()> {
    portcullis::demo::run(std::env::args().any(|a| a == "--once"), &mut std::io::stdout())
}
