//! `deepringd check`, `init` and `cluster`.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use deepring::deal::Copies;
use deepring::{Host, Owner, PublicKey, SecretKey};
use deepring_node::cluster::{
    Assembled, ClusterError, JoinRequest, LocalPlan, Looked, NetworkPlan, NodeState, Running,
    assemble, init, new_origin, node_folders, read_state, stop,
};
use deepring_node::daemon::{NodeConfig, NodeError, withdraw};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{
    ApproveArgs, AssembleArgs, CheckArgs, ClusterCommand, ClusterInitArgs, DownArgs, InitArgs,
    NetworkArgs, NodeCopies, StatusArgs, UpArgs,
};
use crate::said::{Said, complain, line};

/// How often the state of nodes is looked at.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn check(args: &CheckArgs) -> Result<(), Said> {
    let config = NodeConfig::read(&args.config).map_err(NodeError::from)?;
    let text = toml::to_string(&config.file).map_err(|e| Said::Failed(e.to_string()))?;
    line(text.trim_end());
    Ok(())
}

pub(crate) fn approve(args: &ApproveArgs) -> Result<(), Said> {
    let config = NodeConfig::read(&args.config).map_err(NodeError::from)?;
    let Some(entry) = &args.entry else {
        let was = withdraw(&config)?;
        complain(if was { "withdrawn" } else { "nothing was approved" });
        return Ok(());
    };
    let set = deepring_node::daemon::approve(&config, entry)?;
    set.nodes.iter().for_each(|node| line(&node.to_string()));
    complain(&format!(
        "approved: validator set {} with these {} nodes; it stands from the term after the one in which all but a third of the present set agreed to it",
        set.epoch,
        set.nodes.len()
    ));
    Ok(())
}

pub(crate) fn init_node(args: &InitArgs) -> Result<(), Said> {
    let at = (args.validator, args.hosting);
    let request = deepring_node::cluster::init_node(&args.folder, at, args.gateway)?;
    complain(&format!(
        "made {}: its keys stay there; give `join.toml` to the owner of the ring. It says:",
        args.folder.display()
    ));
    line(request.to_toml().trim_end());
    Ok(())
}

pub(crate) fn dispatch(command: &ClusterCommand) -> Result<(), Said> {
    match command {
        ClusterCommand::Init(args) => init_cluster(args),
        ClusterCommand::Assemble(args) => assemble_cluster(args),
        ClusterCommand::Up(args) => up(args),
        ClusterCommand::Status(args) => status(args),
        ClusterCommand::Down(args) => down(args),
    }
}

fn with_plan<T>(
    args: &NetworkArgs,
    make: impl FnOnce(&NetworkPlan<'_>) -> Result<T, ClusterError>,
) -> Result<T, Said> {
    let owner = SecretKey::<Owner>::read(&args.owner_key).map_err(ClusterError::from)?;
    let arbiter = args.arbiter.as_deref().map(PublicKey::<Host>::read);
    let origin = args.origin.clone().unwrap_or_else(new_origin);
    let plan = NetworkPlan {
        ring: &args.ring,
        owner: &owner,
        copies: match args.copies {
            NodeCopies::Two => Copies::Two,
            NodeCopies::Three => Copies::Three,
        },
        eager: args.eager,
        origin: &origin,
        arbiter: arbiter.transpose().map_err(ClusterError::from)?,
    };
    Ok(make(&plan)?)
}

fn init_cluster(args: &ClusterInitArgs) -> Result<(), Said> {
    let local = LocalPlan { nodes: args.nodes, first_port: args.first_port };
    let folder = &args.deal.output;
    tell(&with_plan(&args.deal, |plan| init(plan, local, folder))?);
    complain(&format!("made {0}; `deepringd cluster up {0}` runs it", folder.display()));
    Ok(())
}

fn assemble_cluster(args: &AssembleArgs) -> Result<(), Said> {
    let requests = args.requests.iter().map(|path| JoinRequest::read(path));
    let requests = requests.collect::<Result<Vec<_>, _>>()?;
    let folder = &args.deal.output;
    let assembled = with_plan(&args.deal, |plan| assemble(plan, &requests, folder))?;
    tell(&assembled);
    for (name, request) in assembled.folders.iter().zip(&args.requests) {
        complain(&format!(
            "{}/{name} is for the node of {}: its files go beside that node's keys",
            folder.display(),
            request.display()
        ));
    }
    Ok(())
}

fn tell(assembled: &Assembled) {
    assembled.legs.iter().for_each(|leg| line(leg));
}

fn up(args: &UpArgs) -> Result<(), Said> {
    let program = std::env::current_exe().map_err(|e| Said::Failed(e.to_string()))?;
    let mut running = Running::start(&program, &args.folder)?;
    let (closed, ends) = channel();
    let watched = closed.clone();
    // Ctrl-C reaches the nodes, too, and they stop; so does this.
    std::thread::spawn(move || {
        if wait_for_signal().is_ok() {
            let _ = closed.send(());
        }
    });
    if !std::io::stdin().is_terminal() {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            let _ = watched.send(());
        });
    }
    let mut shown = String::new();
    let mut was_ready = false;
    loop {
        let states = running.look()?;
        if let Some((name, ended)) =
            states.iter().find_map(|n| Some((&n.name, n.state.as_ref().err()?)))
            && states.iter().all(|node| node.state.is_err())
        {
            return Err(all_ended(&args.folder, name, *ended));
        }
        let ready = states.iter().all(|n| matches!(&n.state, Ok(Some(state)) if is_ready(state)));
        let table = table(&states);
        if !args.quiet && table != shown {
            line(&table);
        }
        shown = table;
        if ready && !was_ready {
            line("ready");
            was_ready = true;
        }
        match ends.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => break,
        }
    }
    complain("stopping");
    drop(running);
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
fn wait_for_signal() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        commonware_macros::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
        Ok(())
    })
}

fn all_ended(folder: &Path, name: &str, ended: ExitStatus) -> Said {
    let log = folder.join(name).join("node.log");
    Said::Failed(format!("every node ended; {name} with {ended}: {} says why", log.display()))
}

fn is_ready(state: &NodeState) -> bool {
    state.caught_up && state.blocks_open && state.disk_writable
}

fn table(states: &[Looked]) -> String {
    let row = |Looked { name, state }: &Looked| match state {
        Ok(Some(state)) => format!("{name}: {}", in_words(state)),
        Ok(None) => format!("{name}: starts"),
        Err(ended) => format!("{name}: ended, {ended}"),
    };
    states.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// Without the height, which changes every few seconds.
fn in_words(state: &NodeState) -> String {
    let mut words = vec![format!("{} entries, {} certified", state.size, state.certified)];
    if state.waiting > 0 {
        words.push(format!("{} submissions wait", state.waiting));
    }
    for (is, what) in [
        (state.votes_lost, "does not vote: its earlier votes are lost"),
        (!state.votes && !state.votes_lost, "does not vote: it is not of the validator set"),
        (
            !state.caught_up,
            "behind: no new height lately, or others are further, or its ring is not registered yet",
        ),
        (!state.blocks_open, "a block is out of use"),
        (!state.disk_writable, "its disk cannot be written"),
    ] {
        if is {
            words.push(what.to_owned());
        }
    }
    words.join(", ")
}

fn status(args: &StatusArgs) -> Result<(), Said> {
    let mut states = Vec::new();
    for node in node_folders(&args.folder)? {
        let name = node.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        states.push((name, read_state(&node)?));
    }
    if args.json {
        let all: serde_json::Map<String, serde_json::Value> = states
            .into_iter()
            .map(|(name, state)| (name, serde_json::to_value(state).unwrap_or_default()))
            .collect();
        line(&serde_json::Value::Object(all).to_string());
        return Ok(());
    }
    for (name, state) in &states {
        match state {
            Some(state) => line(&format!("{name}: height {}, {}", state.height, in_words(state))),
            None => line(&format!("{name}: not running")),
        }
    }
    Ok(())
}

fn down(args: &DownArgs) -> Result<(), Said> {
    let left = stop(&args.folder)?;
    match left.is_empty() {
        true => Ok(()),
        false => Err(Said::Failed(format!("still running: {}", left.join(", ")))),
    }
}
