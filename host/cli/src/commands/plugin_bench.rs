//! `longshore plugin bench PLUGIN`: rows per second, computing, memory and calls of the host, for more
//! and more instances.

use std::time::Instant;

use clap::Args;
use longshore_model::error::Result;
use longshore_model::format::{grouped, human_bytes};
use longshore_plugins::{Admission, Compile, Plugin};
use serde_json::json;

use super::plugin_check::Subject;
use super::{App, plugin, show};
use crate::conformance::{Figures, measure};

/// Instances at the same time, one row of figures for each.
const INSTANCES: [usize; 3] = [1, 8, 64];

/// Instantiations that are averaged.
const STARTS: u32 = 100;

#[derive(Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    subject: Subject,
    /// For a transform or a sink: how many rows of a sample to hand over
    #[arg(long, default_value_t = 2_000_000, value_name = "N")]
    rows: u64,
    /// How many instances at the same time
    #[arg(long, default_values_t = INSTANCES, value_delimiter = ',', value_name = "N,..")]
    instances: Vec<usize>,
}

pub(super) fn bench(app: &App, args: &BenchArgs) -> Result<()> {
    let (plugin, given) = args.subject.read(app)?;
    let sandbox = app.sandbox()?;
    let started = Instant::now();
    app.io.block_on(Plugin::load(
        &sandbox,
        plugin.path(),
        &Admission::default(),
        Compile::AtOnce,
    ))?;
    let load_millis = started.elapsed().as_secs_f64() * 1e3;
    let start_micros = app.io.block_on(start_micros(&plugin))?;
    if !app.json {
        show::answer(&format!(
            "{}, a {}: loaded from the cache in {load_millis:.1} ms, an instance and `describe` in \
             {start_micros:.0} µs\n",
            plugin.title(),
            plugin::kind(&plugin)
        ));
        show::answer(
            "instances       rows/s     MiB/s   CPU µs/row   memory each   host calls/MiB",
        );
    }
    let mut measured = Vec::new();
    for &instances in &args.instances {
        let measuring = measure(&plugin, &given, args.rows, instances.max(1), app.compute());
        let figures = app.io.block_on(measuring)?;
        if !app.json {
            show::answer(&line(&figures));
        }
        measured.push(figures);
    }
    if app.json {
        show::json(&json!({
            "plugin": plugin.name(),
            "version": plugin.version.to_string(),
            "digest": plugin.digest(),
            "load_cached_millis": load_millis,
            "start_micros": start_micros,
            "measured": measured,
        }));
    }
    Ok(())
}

fn line(figures: &Figures) -> String {
    let mib = figures.bytes as f64 / f64::from(1 << 20);
    format!(
        "{:>9} {:>12} {:>9.0} {:>12.3} {:>13} {:>16.1}",
        figures.instances,
        grouped((figures.rows as f64 / figures.wall_secs.max(1e-9)) as u64),
        mib / figures.wall_secs.max(1e-9),
        figures.cpu_secs * 1e6 / (figures.rows as f64).max(1.0),
        human_bytes(figures.memory_bytes),
        figures.host_calls as f64 / mib.max(1e-9)
    )
}

/// How long an instance takes until it has answered for the first time.
async fn start_micros(plugin: &Plugin) -> Result<f64> {
    let started = Instant::now();
    for _ in 0..STARTS {
        plugin.describe().await?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(STARTS))
}
