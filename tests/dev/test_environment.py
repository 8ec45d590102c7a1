import stat

from dev.stack.environment import new_secrets, read_env_file, stack_secrets, write_env_file


class TestStackSecrets:
    def test_are_made_once(self, tmp_path):
        first = stack_secrets(tmp_path)

        assert stack_secrets(tmp_path) == first
        assert read_env_file(tmp_path / "secrets.env") == first
        assert new_secrets().keys() < first.keys()

    def test_are_for_their_owner_only(self, tmp_path):
        stack_secrets(tmp_path)

        assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600

    def test_keep_what_is_there_when_a_new_one_is_needed(self, tmp_path):
        write_env_file(tmp_path / "secrets.env", {"SECRET_KEY": "old$x=#"}, comment="from before")

        secrets = stack_secrets(tmp_path)

        assert secrets["SECRET_KEY"] == "old$x=#"
        assert secrets["QUEUE_TOKEN_KEYS"].startswith("k1:")


def test_an_env_file_that_does_not_exist_is_empty(tmp_path):
    assert read_env_file(tmp_path / "endpoints.env") == {}
