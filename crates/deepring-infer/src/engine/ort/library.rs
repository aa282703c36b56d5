//! The process' one onnxruntime: which file it is from, and the threads that its sessions share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::logging::LogLevel;

use crate::engine::{EngineError, unwinding};

struct Loaded {
    path: PathBuf,
    environment: Environment,
    threads: usize,
}

/// The library makes one environment in the life of a process, so it is kept for ever.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// The environment of the library at `path`, and the number of threads that it has.
pub(super) fn load(path: &Path, threads: usize) -> Result<(Environment, usize), EngineError> {
    let cannot = |reason: String| EngineError::Library { path: path.to_path_buf(), reason };
    // A bare name would be looked for beside the program and in the system's folders.
    let absolute = path.canonicalize().map_err(|e| cannot(e.to_string()))?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = &*loaded {
        if loaded.path != absolute {
            let other = loaded.path.display();
            return Err(cannot(format!("`{other}` is loaded already, and a process has but one")));
        }
        return Ok((loaded.environment.clone(), loaded.threads));
    }
    let load = || {
        let builder = ort::init_from(&absolute).map_err(|e| e.to_string())?;
        let pool = GlobalThreadPoolOptions::default()
            .with_intra_threads(threads)
            .and_then(|o| o.with_inter_threads(1))
            .map_err(|e| e.to_string())?;
        let log = |level: LogLevel, _: &str, _: &str, _: &str, said: &str| {
            // What goes wrong comes back as an error besides.
            if matches!(level, LogLevel::Warning | LogLevel::Error | LogLevel::Fatal) {
                tracing::debug!("onnxruntime: {said}");
            }
        };
        let builder = builder.with_name("deepring").with_telemetry(false);
        let builder = builder.with_global_thread_pool(pool).with_logger(Arc::new(log));
        let environment = builder.build().map_err(|e| e.to_string())?;
        environment.set_log_level(LogLevel::Warning);
        Ok(environment)
    };
    let environment = unwinding(load).unwrap_or_else(Err).map_err(cannot)?;
    *loaded = Some(Loaded { path: absolute, environment: environment.clone(), threads });
    Ok((environment, threads))
}
