//! Stand-in.
use crate::agreement::LedgerProgress;
use crate::certifying::Certifier;
use crate::daemon::GatewaySection;
use crate::hosting::Asker;
use commonware_utils::channel::watch;
use deepring::AuthenticRing;
use deepring_infer::inputs::Preprocess;
use std::path::PathBuf;
use std::sync::Arc;
pub struct Gateway {
    pub asker: Asker,
    pub certifier: Certifier,
    pub ring: Arc<AuthenticRing>,
    pub recipe: Option<Preprocess>,
    pub progress: watch::Receiver<LedgerProgress>,
    pub health: Arc<dyn Fn() -> Health + Send + Sync>,
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub validators: Arc<[u8]>,
    pub tiles: PathBuf,
}
#[derive(Debug, Clone, Copy)]
pub struct Health {
    pub caught_up: bool,
    pub blocks_open: bool,
    pub disk_writable: bool,
}
#[derive(Debug, thiserror::Error)]
#[error("gateway")]
pub struct GatewayError;
pub async fn serve(
    gateway: Gateway,
    section: GatewaySection,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), GatewayError> {
    let _ = (gateway, section);
    stop.await;
    Ok(())
}
