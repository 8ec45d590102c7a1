import base64
import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.queue.core.tokens import InvalidToken, TokenClaims, TokenSigner

pytestmark = pytest.mark.no_live_room

KEYS = [("k1", b"one" * 11)]
TICKET = TokenClaims(7, 42, 1_795_000_000_000_001, 3, 1_795_000_000_000_002)

numbers = st.integers(0, 2**62)
claims_of_all = st.builds(TokenClaims, *[numbers] * 7)


@pytest.fixture
def signer() -> TokenSigner:
    return TokenSigner(KEYS)


class TestTokenSigner:
    @given(claims_of_all)
    def test_reads_what_it_issued(self, claims):
        signer = TokenSigner(KEYS)

        assert signer.read(signer.issue(claims)) == claims

    @given(st.data())
    def test_refuses_a_token_with_any_character_changed(self, data):
        signer = TokenSigner(KEYS)
        token = signer.issue(TICKET)
        at = data.draw(st.integers(0, len(token) - 1))
        other = data.draw(st.characters().filter(lambda character: character != token[at]))

        with pytest.raises(InvalidToken):
            signer.read(token[:at] + other + token[at + 1 :])

    @given(st.text(max_size=600))
    def test_refuses_anything_else(self, text):
        with pytest.raises(InvalidToken):
            TokenSigner(KEYS).read(text)

    def test_refuses_the_payload_of_one_token_with_the_signature_of_another(self, signer):
        mine = signer.issue(TICKET).split(".")
        other = signer.issue(replace(TICKET, customer_id=43)).split(".")

        with pytest.raises(InvalidToken):
            signer.read(".".join([*other[:3], mine[3]]))

    @pytest.mark.parametrize("payload", ["A", base64.urlsafe_b64encode(b"\xc3\xa9").decode()])
    def test_refuses_a_payload_that_is_no_text_though_it_is_signed(self, signer, payload):
        signed = ".".join([*signer.issue(TICKET).split(".")[:2], payload])
        signature = hmac.digest(KEYS[0][1], signed.encode(), "sha256")
        token = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"

        with pytest.raises(InvalidToken):
            signer.read(token)

    def test_claims_no_admission_unless_it_is_said(self):
        assert TokenClaims(7, 42, slot=1, generation=3, issued_at=2).admitted_at == 0

    def test_refuses_a_key_it_does_not_know(self, signer):
        stranger = TokenSigner([("k1", b"two" * 11)])

        with pytest.raises(InvalidToken):
            signer.read(stranger.issue(TICKET))

    def test_binds_the_key_id(self):
        signer = TokenSigner([("k1", b"one" * 11), ("k2", b"one" * 11)])
        token = signer.issue(TICKET)

        with pytest.raises(InvalidToken):
            signer.read(token.replace(".k1.", ".k2."))

    @pytest.mark.parametrize("payload", ["1:2:3:4:5:6", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:-7", "x"])
    def test_refuses_a_payload_that_is_no_ticket_even_if_signed(self, signer, payload):
        encoded = base64.urlsafe_b64encode(payload.encode()).rstrip(b"=").decode()
        signed = f"q1.k1.{encoded}"
        token = f"{signed}.{signer._signature('k1', signed)}"

        with pytest.raises(InvalidToken):
            signer.read(token)

    @pytest.mark.parametrize("length", [32, 64, 65, 200])
    def test_signs_by_hmac_sha256(self, length):
        key = bytes(range(length))

        for claims in (TICKET, replace(TICKET, slot=0)):
            signed, _, signature = TokenSigner([("k1", key)]).issue(claims).rpartition(".")
            expected = hmac.digest(key, signed.encode(), "sha256")
            assert base64.urlsafe_b64decode(signature + "=") == expected

    def test_keys_rotate(self):
        old, new = ("k1", b"one" * 11), ("k2", b"two" * 11)
        token = TokenSigner([old]).issue(TICKET)
        rotated = TokenSigner([new, old])

        assert rotated.read(token) == TICKET
        assert not rotated.is_current(token)
        assert rotated.is_current(rotated.issue(TICKET))
        with pytest.raises(InvalidToken):
            TokenSigner([new]).read(token)

    def test_an_early_ticket_does_not_show_its_place(self, signer):
        early = replace(TICKET, slot=0)

        payload = signer.issue(early).split(".")[2]

        assert base64.urlsafe_b64decode(payload + "==").decode().split(":")[2] == "0"
