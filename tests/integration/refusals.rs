//! What bad input gets: one line on standard error that says what and why, an exit code, and nothing
//! written.

use tests::{Cluster, Nsctl, Output, TempDir};

/// Exit codes that will do, words that the complaint has, and the command. `''` is an empty argument,
/// `{label}` one label too long, `{name}` a name too long.
const RECORDS: &str = "
2  | www..example.org             | add www..example.org A 192.0.2.1
2  | 63                           | add {label}.example.org A 192.0.2.1
2  | 255                          | add {name}.example.org A 192.0.2.1
2  | NOTYPE                       | add www.example.org NOTYPE x
2  | 192.0.2.256                  | add www.example.org A 192.0.2.256
2  | 192.0.2.1                    | add www.example.org AAAA 192.0.2.1
2  | ten                          | add www.example.org MX ten mail.example.org.
2  | \\#                          | add www.example.org TYPE65280 \\# 2 AB
2  | 2147483648                   | add www.example.org A 192.0.2.2 --ttl 2147483648
2  | soon                         | add www.example.org A 192.0.2.2 --ttl soon
2  | -1                           | add www.example.org A 192.0.2.2 --ttl=-1
2  | RDATA                        | set www.example.org A
2  | RDATA                        | add www.example.org A
2  | ''                           | add www.example.org A ''
2  | ANY                          | add www.example.org ANY x
2  | OPT                          | add www.example.org OPT x
2  | SOA                          | add example.org SOA a. b. 1 2 3 4 5
3  | www.example.net. zone        | add www.example.net A 192.0.2.1
3  | www.example.net. zone        | remove www.example.net A
3  | www.example.org. CNAME       | add www.example.org CNAME alias.example.org.
3  | www.example.org. CNAME       | set www.example.org CNAME alias.example.org.
3  | alias.example.org. CNAME     | add alias.example.org A 192.0.2.1
3  | alias.example.org. CNAME     | add alias.example.org CNAME other.example.org.
23 | new.example.org. CNAME       | add new.example.org CNAME a.example.org. b.example.org.
3  | example.org. CNAME           | add example.org CNAME www.example.org.
3  | example.org. NS              | remove example.org NS
3  | none.example.org. TTL        | set none.example.org A --ttl 60
2  | RDATA                        | set www.example.org A --replace-all
2  | RDATA                        | set www.example.org A --replace-all --ttl 60
3  | example.org. CNAME           | set example.org CNAME www.example.org. --replace-all
3  | example.org. NS              | set example.org A 192.0.2.1 --replace-all
2  | --tll                        | add www.example.org TXT -all --tll 60
2  | -all                         | add www.example.org A -all
";

const ZONES: &str = "
3  | example.org. exists          | zone add example.org --ns ns1.example.org
2  | bad..example                 | zone add bad..example --ns ns1.example.org
2  | bad..example                 | zone add example.net --ns bad..example
3  | example.net.                 | zone show example.net
3  | example.net.                 | zone export example.net
3  | example.net.                 | zone remove example.net
3  | example.net.                 | zone remove example.net --dry-run
3  | example.net.                 | zone clean example.net
2  | NOTYPE                       | list --type NOTYPE
2  | ftp                          | --endpoints ftp://x:1 list
";

/// Zone files, each with a fault in the line after [`HEAD`], and words that the complaint has.
const FILES: [(&str, &str); 5] = [
    ("www A 192.0.2.256", ":4 192.0.2.256"),
    ("www.example.com. A 192.0.2.1", ":4 www.example.com."),
    ("www CNAME www2\nwww A 192.0.2.1", "CNAME"),
    ("www 2147483648 A 192.0.2.1", ":4 2147483648"),
    ("www NOTYPE x", ":4 NOTYPE"),
];

const HEAD: &str = "$TTL 300\n@ SOA ns1 hostmaster 1 2 3 4 5\n@ NS ns1\n";

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_and_writes_nothing() {
    let cluster = Cluster::start(3, &[]).await;
    let nsctl = Nsctl::new(cluster.endpoints());
    for command in [
        "zone add example.org --ns ns1.example.org",
        "add www.example.org A 192.0.2.1",
        "add alias.example.org CNAME www.example.org.",
    ] {
        nsctl.write(command).await;
    }
    let before = cluster.revision().await;
    let mut faults = Vec::new();
    for line in [RECORDS, ZONES]
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| !line.is_empty())
    {
        let output = run(&nsctl, line).await;
        let mut columns = line.split('|');
        let mut column = || columns.next().unwrap_or_default().trim();
        faults.extend(fault(&output, column(), column()));
        if output.stderr.lines().count() != 1 {
            faults.push(format!(
                "{}: not one line on standard error: {:?}",
                output.command, output.stderr
            ));
        }
        assert_eq!(
            cluster.revision().await,
            before,
            "{}: it wrote something",
            output.command
        );
    }
    let output = nsctl.run("zone import example.net /no/such/file").await;
    faults.extend(fault(&output, "1", "/no/such/file"));
    let folder = TempDir::new();
    for (lines, words) in FILES {
        let file = folder
            .write("zone", &format!("{HEAD}{lines}\n"))
            .display()
            .to_string();
        // A line a fault, and one that sums up.
        let output = nsctl
            .run_args(&["zone", "import", "example.net", &file, "--strict"])
            .await;
        faults.extend(fault(&output, "3", words));
        assert_eq!(
            cluster.revision().await,
            before,
            "{lines}: it wrote something"
        );
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

async fn run(nsctl: &Nsctl, line: &str) -> Output {
    let label = "a".repeat(64);
    let name = vec!["a".repeat(50); 5].join(".");
    let command = line.rsplit('|').next().unwrap_or_default();
    let command = command.replace("{label}", &label).replace("{name}", &name);
    let args: Vec<&str> = command
        .split_whitespace()
        .map(|arg| if arg == "''" { "" } else { arg })
        .collect();
    nsctl.run_args(&args).await
}

/// What is wrong with a refusal.
fn fault(output: &Output, codes: &str, words: &str) -> Option<String> {
    let told = |fault: String| {
        Some(format!(
            "{}: {fault}: exit {}: {:?}",
            output.command, output.code, output.stderr
        ))
    };
    if !codes.contains(&output.code.to_string()) {
        return told(format!("not one of exit {codes}"));
    }
    if !output.stdout.is_empty() {
        return told(format!("something on standard output: {:?}", output.stdout));
    }
    let missing = words
        .split_whitespace()
        .find(|word| !output.stderr.contains(word));
    missing.and_then(|word| told(format!("it does not say '{word}'")))
}
