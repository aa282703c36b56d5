use deepring::SecretKey;

use super::*;

fn node_text(n: u8) -> String {
    SecretKey::<Node>::from_halves(&[n; 32], &[n + 100; 32]).unwrap().public().to_string()
}

fn host_text(n: u8) -> String {
    SecretKey::<Host>::from_halves(&[n; 32], &[n + 100; 32]).unwrap().public().to_string()
}

fn owner_text() -> String {
    SecretKey::<Owner>::from_halves(&[7; 32], &[8; 32]).unwrap().public().to_string()
}

/// The keys that have no default, and one peer.
fn least() -> String {
    format!(
        "ring = \"model.ring\"\nowner = \"{}\"\nvalidators = \"validators.set\"\ndata = \"data\"\nnode_key = \"node.key\"\n\n\
         [validator]\nlisten = \"127.0.0.1:4100\"\n\n[host]\nkey = \"host.key\"\nlisten = \"127.0.0.1:4200\"\n\n\
         [gateway]\nlisten = \"127.0.0.1:4300\"\n\n\
         [[peer]]\nnode = \"{}\"\nvalidator = \"127.0.0.1:4101\"\nhost = \"{}\"\nhosting = \"127.0.0.1:4201\"\n",
        owner_text(),
        node_text(1),
        host_text(1),
    )
}

fn parse(text: &str) -> Result<CheckedConfig, ConfigError> {
    NodeConfig::parse(text, Path::new("node.toml"), Path::new("/etc/deepring"))
}

#[test]
fn what_is_not_said_has_its_default_and_paths_are_below_the_files_folder() {
    let config = parse(&least()).unwrap();
    assert_eq!(config.heartbeat(), Duration::from_secs(1));
    assert_eq!(config.check, Check::Auto);
    assert_eq!(config.patience, Patience { floor: 800, ..Patience::default() });
    assert_eq!(config.bounds, Bounds::default());
    let host = config.file.host.as_ref().unwrap();
    assert_eq!((host.threads.get(), host.workers.get()), (1, 1));
    assert_eq!(host.key, Path::new("/etc/deepring/host.key"));
    assert_eq!(config.file.ring, Path::new("/etc/deepring/model.ring"));
    let gateway = config.file.gateway.as_ref().unwrap();
    assert_eq!((gateway.requests, gateway.requests_a_second, gateway.body_megabytes), (64, 64, 16));
    assert_eq!((gateway.requests_per_client, gateway.connections_per_address), (Some(16), 64));
    assert_eq!(config.peers.len(), 1);
    assert_eq!(config.peers[0].host.as_ref().unwrap().1.port(), 4201);
    // What is written is read back.
    let written = toml::to_string(&config.file).unwrap();
    assert_eq!(parse(&written).unwrap().file, config.file);
}

#[test]
fn unknown_keys_and_missing_ones_are_refused_by_name() {
    for (section, key) in
        [("", "rings"), ("[host]", "keys"), ("[gateway]", "tsl"), ("[[peer]]", "nodes")]
    {
        let text = match section {
            "" => format!("{key} = 1\n{}", least()),
            section => least().replace(section, &format!("{section}\n{key} = 1")),
        };
        let refused = parse(&text).unwrap_err().to_string();
        assert!(refused.contains(key), "{refused}");
    }
    for key in ["ring", "owner", "validators", "data", "node_key"] {
        let text: String = least()
            .lines()
            .filter(|line| !line.starts_with(&format!("{key} =")))
            .map(|l| format!("{l}\n"))
            .collect();
        assert!(parse(&text).unwrap_err().to_string().contains(key), "{key}");
    }
}

#[test]
fn every_number_has_its_bounds() {
    for (section, key, least_value, most) in [
        ("[validator]", "heartbeat_ms", 100, 7_000),
        ("[host]", "threads", 1, 1024),
        ("[host]", "workers", 1, 256),
        ("[host]", "patience_ms", 50, 600_000),
        ("[host]", "query_ms", 1_000, 3_600_000),
        ("[host]", "queries", 1, 4096),
        ("[host]", "batch", 1, 1024),
        ("[host]", "megabytes", 16, 1 << 20),
        ("[gateway]", "requests", 1, 4096),
        ("[gateway]", "requests_per_client", 1, 64),
        ("[gateway]", "connections_per_address", 1, 1024),
        ("[gateway]", "requests_a_second", 1, 1 << 20),
        ("[gateway]", "body_megabytes", 1, 1024_u64),
    ] {
        let with =
            |value: u64| parse(&least().replace(section, &format!("{section}\n{key} = {value}")));
        assert!(with(least_value).is_ok() && with(most).is_ok(), "{key}: {:?}", with(least_value));
        assert!(with(least_value - 1).is_err() && with(most + 1).is_err(), "{key}");
    }
}

#[test]
fn audits_are_a_minute_apart_and_can_be_turned_off() {
    let of = |seconds: &str| {
        parse(&least().replace("[host]", &format!("[host]\naudit_seconds = {seconds}")))
    };
    assert_eq!(parse(&least()).unwrap().audits(), Some(Duration::from_secs(60)));
    assert_eq!(of("0").unwrap().audits(), None);
    assert_eq!(of("86400").unwrap().audits(), Some(Duration::from_secs(86_400)));
    for bad in ["86401", "-1", "1.5"] {
        assert!(of(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_gateway_is_not_opened_to_everybody_nor_are_its_keys_sent_in_the_clear() {
    let open = least().replace("127.0.0.1:4300", "0.0.0.0:4300");
    let refused = |text: &str| parse(text).unwrap_err().to_string();
    assert!(refused(&open).contains("whoever reaches"));
    let key = "ab".repeat(32);
    let keyed = open.replace("[gateway]", &format!("[gateway]\napi_keys = [\"{key}\"]"));
    assert!(refused(&keyed).contains("in the clear"));
    let tls = format!("{keyed}\n[gateway.tls]\ncertificates = \"c.pem\"\nkey = \"k.pem\"\n");
    let checked = parse(&tls).unwrap();
    assert_eq!(checked.file.gateway.unwrap().tls.unwrap().key, Path::new("/etc/deepring/k.pem"));
    let mutual = format!(
        "{open}\n[gateway.tls]\ncertificates = \"c.pem\"\nkey = \"k.pem\"\nclient_ca = \"ca.pem\"\n"
    );
    assert!(parse(&mutual).is_ok());
    for bad in ["AB".repeat(32), "ab".repeat(31), "zz".repeat(32)] {
        let text = least().replace("[gateway]", &format!("[gateway]\napi_keys = [\"{bad}\"]"));
        assert!(refused(&text).contains("hexadecimal"), "{bad}");
    }
    let bare = least().replace("[host]\nkey = \"host.key\"\nlisten = \"127.0.0.1:4200\"\n", "");
    assert!(refused(&bare).contains("[host]"));
}

#[test]
fn peers_are_named_once_by_keys_of_their_kind() {
    let peer = |n: u8, h: u8| {
        format!(
            "[[peer]]\nnode = \"{}\"\nvalidator = \"127.0.0.1:5000\"\nhost = \"{}\"\nhosting = \"127.0.0.1:6000\"\n",
            node_text(n),
            host_text(h)
        )
    };
    assert_eq!(parse(&format!("{}{}", least(), peer(2, 2))).unwrap().peers.len(), 2);
    for (n, h) in [(1, 2), (2, 1)] {
        let refused = parse(&format!("{}{}", least(), peer(n, h))).unwrap_err().to_string();
        assert!(refused.contains("twice"), "{refused}");
    }
    let swapped = least().replace(&node_text(1), &host_text(3));
    assert!(parse(&swapped).unwrap_err().to_string().contains("peer.node"));
    let alone = least().replace("hosting = \"127.0.0.1:4201\"\n", "");
    assert!(parse(&alone).unwrap_err().to_string().contains("go together"));
    let many: String = (0..=MAX_PEERS).map(|n| peer(u8::try_from(n).unwrap() + 2, 2)).collect();
    assert!(parse(&format!("{}{many}", least())).is_err());
}
