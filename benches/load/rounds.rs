//! The rounds: every case on every program in turn, so that a busy moment of the machine meets all of them.

use crate::Scale;
use crate::certificate::Papers;
use crate::client::{Form, Way, load, open, trusting};
use crate::gate::GateUnderTest;
use crate::nginx::Nginx;
use crate::process::Process;
use crate::standin::EVENTS;

/// What is measured in one row.
pub(crate) struct Case {
    /// In words.
    pub(crate) name: &'static str,
    /// Kept connections.
    connections: usize,
    /// What is sent.
    form: Form,
    /// The gate is reached through CONNECT and TLS, and nginx is measured beside it.
    over_tls: bool,
}

/// The rounds of one case, in nanoseconds per call or event.
pub(crate) struct Row {
    /// Which case.
    pub(crate) case: &'static Case,
    /// The gate's.
    pub(crate) gate: Vec<u64>,
    /// nginx's, in the same order; empty where it is not measured.
    pub(crate) nginx: Vec<u64>,
}

/// What the rounds gave.
pub(crate) struct Figures {
    /// One for each case.
    pub(crate) rows: Vec<Row>,
    /// Calls that were made through the gate.
    pub(crate) gate_calls: u64,
}

/// What is measured.
pub(crate) struct Programs<'a> {
    /// The gate.
    pub(crate) gate: &'a GateUnderTest,
    /// The measure, where it is installed.
    pub(crate) nginx: Option<&'a Nginx>,
    /// Whom to trust behind nginx.
    pub(crate) papers: &'a Papers,
}

/// Runs all rounds of the cases whose name contains `only`.
pub(crate) async fn run(scale: Scale, programs: &Programs<'_>, only: &str) -> anyhow::Result<Figures> {
    let Programs { gate, nginx, papers } = *programs;
    let through_gate = Way::Connect(gate.proxy, trusting(&gate.ca)?);
    let own_tls = trusting(&papers.ca)?;
    let mut rows: Vec<Row> = CASES
        .iter()
        .filter(|case| case.name.contains(only))
        .map(|case| Row { case, gate: Vec::new(), nginx: Vec::new() })
        .collect();
    let mut gate_calls = 0;
    for _ in 0..scale.rounds {
        for row in &mut rows {
            let way = if row.case.over_tls { through_gate.clone() } else { Way::Clear(gate.proxy) };
            let (cost, made) = cost(scale, row.case, &way, &gate.process).await?;
            row.gate.push(cost);
            gate_calls += made;
            if let Some(nginx) = nginx.filter(|_| row.case.over_tls) {
                let way = Way::Tls(nginx.address, own_tls.clone());
                row.nginx.push(self::cost(scale, row.case, &way, &nginx.process).await?.0);
            }
        }
    }
    Ok(Figures { rows, gate_calls })
}

/// CPU time of `process` for one call or event, in nanoseconds, and all calls made, those to warm up included.
async fn cost(scale: Scale, case: &Case, way: &Way, process: &Process) -> anyhow::Result<(u64, u64)> {
    let mut connections = open(way, case.connections).await?;
    let calls = match case.form {
        Form::Small => scale.calls,
        Form::Stream | Form::StreamUnasked => scale.streams,
    };
    let warm = load(&mut connections, case.form, calls / 10).await?;
    let before = process.cpu_nanos()?;
    let made = load(&mut connections, case.form, calls).await?;
    let spent = process.cpu_nanos()? - before;
    Ok((spent / (made * case.events()) as u64, (made + warm) as u64))
}

impl Case {
    fn events(&self) -> usize {
        if self.form == Form::Small { 1 } else { EVENTS }
    }
}

static CASES: [Case; 5] = [
    Case { name: "small call, 1 connection", connections: 1, form: Form::Small, over_tls: true },
    Case { name: "small call, 32 connections", connections: 32, form: Form::Small, over_tls: true },
    Case { name: "event of a stream, 8 connections", connections: 8, form: Form::Stream, over_tls: true },
    Case { name: "the same, usage asked for by the gate", connections: 8, form: Form::StreamUnasked, over_tls: true },
    Case { name: "small call, 32, base URL in the clear", connections: 32, form: Form::Small, over_tls: false },
];
