import sys

import services.__main__ as by_hand
from services.server import Server


def test_a_command_beside_servers_gets_their_facts_and_gives_its_status(tmp_path) -> None:
    server = Server("kafka", [], tmp_path, 1, facts={"bootstrap": "here:1"})
    code = "import sys; sys.exit(7 if sys.argv[1:] == ['--kafka=here:1'] else 1)"
    assert by_hand.beside([server], [sys.executable, "-c", code, "--kafka=@kafka.bootstrap"]) == 7
