//! SIGHUP: reads the configuration again, and puts what can change into effect.

use crate::access::Rules;
use crate::config::{Config, Sources};
use crate::exec::Published;
use crate::log::LevelSwitch;
use crate::supervisor::Supervisor;
use std::sync::Arc;

/// The keys that take effect; fanfare.toml and the README name them too.
const RELOADED: [&str; 8] = [
    "trusted_proxies",
    "http.cors_origins",
    "api.tokens",
    "api.token_rate",
    "api.token_burst",
    "api.address_rate",
    "api.address_burst",
    "log.level",
];

/// What a reload reads and changes.
pub(super) struct Reload {
    /// The same file, environment and flags as at the start.
    pub(super) sources: Sources,
    /// What was read last.
    pub(super) config: Config,
    pub(super) rules: Arc<Published<Rules>>,
    pub(super) level: LevelSwitch,
    pub(super) supervisor: Arc<Supervisor>,
}

/// The rules of access that a configuration asks for.
pub(super) fn rules(config: &Config) -> Rules {
    Rules::new(&config.api, &config.trusted_proxies, &config.http.cors_origins)
}

impl Reload {
    /// Takes the new configuration, all of it or nothing.
    pub(super) fn run(&mut self) {
        self.supervisor.reloading();
        match Config::load(&self.sources) {
            Ok(config) => self.apply(config),
            Err(errors) => {
                for error in &errors.0 {
                    tracing::error!(error, "the configuration was not reloaded");
                }
            }
        }
        self.supervisor.ready("serving");
    }

    fn apply(&mut self, config: Config) {
        let changed = self.config.differences(&config);
        let (reloaded, later): (Vec<_>, Vec<_>) =
            changed.iter().map(String::as_str).partition(|key| RELOADED.contains(key));
        if !later.is_empty() {
            let keys = later.join(", ");
            tracing::warn!(keys, "these keys take effect at the next start");
        }
        // The operator may have changed the level meanwhile: that stays while the file says nothing new.
        if reloaded.contains(&"log.level") {
            self.level.set(config.log.level.word());
        }
        if reloaded.iter().any(|key| *key != "log.level") {
            self.rules.publish(rules(&config));
        }
        tracing::info!(changed = reloaded.join(", "), "the configuration was reloaded");
        self.config = config;
    }
}
