"""Kafka in KRaft mode: one node, a plain listener, and one with TLS and SCRAM under access rules."""

import shutil
from pathlib import Path
from typing import Final

from services.certificates import make_certificates
from services.server import Server, Unavailable, cache, exclusive, free_port, listening, run

VERSION: Final = "4.4.0"
LOG4J: Final = "2.25.5"
PASSWORDS: Final = {"shop": "correct-horse-battery", "stranger": "no-rights-at-all"}
"""Users of the secure listener: `shop` may do everything, `stranger` nothing."""

_POM: Final = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>ecompulse</groupId><artifactId>kafka</artifactId><version>1</version>
<packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{kafka}</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
<version>{log4j}</version></dependency></dependencies></project>
"""

# One replica of everything; transactions that were left open are aborted a second after their time.
_SETTINGS: Final = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={both}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:shop
log.dirs={data}
log.retention.ms=-1
log.cleaner.dedupe.buffer.size=8000000
log.cleaner.backoff.ms=200
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
"""

_JAVA: Final = ("java", "-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def install() -> Path:
    """The folder of Kafka's jars, fetched with Maven the first time; Unavailable where that cannot be."""
    if shutil.which("java") is None:
        raise Unavailable("there is no Java (17 or newer) on this machine")
    folder = cache() / f"kafka-{VERSION}"
    with exclusive(cache() / "kafka.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            pom = folder / "pom.xml"
            pom.write_text(_POM.format(kafka=VERSION, log4j=LOG4J))
            goal = "dependency:copy-dependencies"
            run(["mvn", "-q", "-B", "-f", pom, goal, f"-DoutputDirectory={folder / 'libs'}"], "Kafka from Maven")
            (folder / "complete").touch()
    return folder


def start(folder: Path) -> Server:
    """A new broker with its data below `folder`; ready when a client gets its metadata.

    Facts: `bootstrap` (plain), `secure` (TLS and SCRAM-SHA-256, users in PASSWORDS), `authority` (PEM file).
    """
    libs = install() / "libs"
    folder.mkdir(parents=True, exist_ok=True)
    certificates = make_certificates(folder / "tls")
    plain, secure, controller = free_port(), free_port(), free_port()
    settings = folder / "server.properties"
    settings.write_text(
        _SETTINGS.format(
            plain=plain, secure=secure, controller=controller, both=certificates.both, data=folder / "data"
        )
    )
    (folder / "log4j2.properties").write_text(
        "rootLogger.level=WARN\nrootLogger.appenderRef.out.ref=out\nappender.out.type=Console\nappender.out.name=out\n"
        "appender.out.layout.type=PatternLayout\nappender.out.layout.pattern=%d %p %m (%c)%n\n"
    )
    java = [*_JAVA, f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}", "-cp", f"{libs}/*"]
    users = [
        text
        for name, password in PASSWORDS.items()
        for text in ("--add-scram", f"SCRAM-SHA-256=[name={name},password={password}]")
    ]
    cluster = "ZWNvbXB1bHNlLXRlc3RzMQ"  # 16 bytes in base64
    run([*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", settings, *users], "Kafka's storage")
    facts = {
        "bootstrap": f"127.0.0.1:{plain}",
        "secure": f"127.0.0.1:{secure}",
        "authority": str(certificates.authority),
    }
    command = [*java, "kafka.Kafka", str(settings)]
    return Server("kafka", command, folder, plain, facts=facts, ready=lambda: _serves(facts["bootstrap"])).start()


def _serves(bootstrap: str) -> bool:
    from kafka import KafkaAdminClient  # noqa: PLC0415  # where Kafka is not tested it need not be installed

    if not listening(int(bootstrap.rpartition(":")[2])):
        return False  # the client would wait longer and longer between its own attempts
    client = KafkaAdminClient(bootstrap_servers=bootstrap, reconnect_backoff_max_ms=200)
    try:
        return bool(client.describe_cluster()["brokers"])
    finally:
        client.close()
