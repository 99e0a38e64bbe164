"""Words and clocks of headers: clear ones in many languages, and those that say two things."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.labels import PHASES
from livercascade.io.phase_tags import coded_phase, guess_from_texts, names_agent, phase_in, time_likelihood

NC, AP, VP, DP = PHASES


def listed(text):
    return text.strip("\n").replace("\n", "").split("|")


WORDS = {
    NC: """
ABD W/O CONTRAST|Non-contrast 5.0|NON ENHANCED|nonenhanced|precontrast|Abdomen unenhanced|CT non con|
WITHOUT CONTRAST|no IV contrast|PRE LIVER|Leber nativ|Nativphase 3.0|Abd Nativ 5,0|ohne KM|
Abdomen ohne Kontrastmittel|Foie sans injection|non injecté|sin contraste|TC simple|Abdome sem contraste|
senza mdc|fase basale|fase diretta|zonder contrast|blanco lever|kontrastsız|kontrast öncesi|без контраста|
上腹平扫|単純CT|造影前
""",
    AP: """
Arterial phase 1.25mm|late arterial|LATE_ART 3.0|Art 1.25mm LATE ART|AP 5mm|HAP|arterial 35s|C+ A|
Arterielle Phase|Leber art. 3.0|spätarteriell|temps artériel|phase artérielle|fase arterial tardía|
fase arteriosa|arteriële fase|TK arteryel faz|артериальная|动脉期|動脈相|肝動脈相|동맥기
""",
    VP: """
Abd Portal Venous|PV 2.5|VEN 70s|hepatic venous|late portal|PORT 5.0|C+ V|portal-venös|portalvenös 70s|
venöse Phase|Abdomen venös|Phase veineuse|temps portal|fase porto-venosa|fase venosa|fase portale|fase portal|
veneuze fase|portal ven faz|портальная|门静脉期|静脉期|門脈相|문맥기
""",
    DP: """
delayed 3 min|DELAYED|Equilibrium|LATE 5.0|late phase|LIVER DEL|DEL 3MIN|excretory|5 min|Spätphase|Spät 3.0|
temps tardif|phase tardive|Fase tardia|fase de equilibrio|fase tardiva|late fase|geç faz|отсроченная|延迟期|平衡相|
지연기
""",
}
CLEAR = [(text, phase) for phase, texts in WORDS.items() for text in listed(texts)]
NOTHING = """
CT ABDOMEN W WO CONTRAST|ABD W/WO IV|W/O & W|CT Abdomen WO and W contrast IV|with and without|
WITHOUT AND WITH|CT LIVER PRE AND POST|post plain|LIVER PRE-OP 5.0|PRE TACE 3.0|pre ablation|Pre-RT planning|
Prior|Port placement check|PORT-A-CATH|Portal hypertension|portal vein thrombosis|VP shunt|Native liver|
NATIVE KIDNEY|without oral contrast|no arterial phase|Delayed portal|portal venous + delayed|
Venous 70s (late art ref)|venous 180s|art/ven|arterial and venous|LIVER 3 PHASE (AP)|CT ABD AP|AP SCOUT|
North Carolina NC|Del Mar protocol|C-SPINE|C+|Abdomen with contrast|Abdomen 5.0 B30f|
PARTIAL VENTRICLE NATIONAL|Abd mit/ohne KM|nativ und KM|CT Abdomen mit KM|Art des Bildes|
Abdomen sans et avec injection|con y sin contraste|TC abdomen con y sin|TC del abdomen|Thorax basal 5.0|
senza e con mdc|sem e com contraste|met en zonder contrast|kontrastlı ve kontrastsız|
с контрастом и без контраста|平扫+增强|动静脉期|CTA 大动脉||
"""


@pytest.mark.parametrize(("text", "phase"), CLEAR)
def test_clear_words(text, phase):
    assert (phase_in(text) or (None,))[0] is phase


@pytest.mark.parametrize("text", listed(NOTHING))
def test_words_that_say_two_things_or_another_say_nothing(text):
    assert phase_in(text) is None


@settings(max_examples=200)
@given(st.sampled_from(CLEAR), st.sampled_from(CLEAR), st.sampled_from([" ", " / ", " + ", ", ", " und ", "-"]))
def test_two_phases_in_one_text_never_name_a_third(one, other, between):
    """Of two, at most one of them may come out: the later of two words that together are the name of one phase."""
    found = phase_in(one[0] + between + other[0])
    assert found is None or found[0] in (one[1], other[1])


@settings(max_examples=100)
@given(
    st.sampled_from(["with", "w", "mit", "avec", "con", "com", "met"]),
    st.sampled_from(["without", "wo", "w/o", "ohne", "sans", "sin", "senza", "sem", "zonder"]),
    st.sampled_from(["/", " ", " / ", " & ", " and ", " und ", " et ", " y ", " e ", "+"]),
    st.sampled_from(["contrast", "KM", "contraste", "mdc", "IV", ""]),
    st.booleans(),
    st.sampled_from(["CT ABDOMEN ", "LEBER ", "", "3.0 "]),
)
def test_with_and_without_in_any_language_and_order_say_nothing(given_, not_given, between, medium, turned, before):
    pair = (not_given, given_) if turned else (given_, not_given)
    assert phase_in(f"{before}{pair[0]}{between}{pair[1]} {medium}") is None


@given(st.text(max_size=60))
def test_any_text_is_read(text):
    found = phase_in(text)
    assert found is None or (found[0] in PHASES and 0 < found[1] < 1)


@given(st.sampled_from(CLEAR))
def test_capitals_and_signs_change_nothing(one):
    text, phase = one
    assert phase_in(text.upper())[0] is phase
    assert phase_in(f" {text.replace(' ', '_')} ")[0] is phase


def test_later_texts_are_trusted_less():
    first, second = guess_from_texts(["venous", "arterial"]), guess_from_texts(["", "arterial"])
    assert first[0] is VP and second[0] is AP and second[1] < first[1]


@pytest.mark.parametrize(
    ("delay", "phase"), [(-240, NC), (0.5, NC), (30, AP), (38, AP), (70, VP), (180, DP), (300, DP)]
)
def test_seconds_since_the_injection(delay, phase):
    likelihood = time_likelihood(40_000.0 + delay, 40_000.0)
    assert max(likelihood, key=likelihood.get) is phase and likelihood[phase] > 0.5


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_times_give_likelihoods_or_nothing(acquired, started):
    likelihood = time_likelihood(acquired, started)
    if likelihood is None:
        return
    # No clock is final: other sources can win.
    assert sum(likelihood.values()) == pytest.approx(1) and min(likelihood.values()) > 0.02


def test_copied_and_foreign_clocks_say_nothing():
    assert time_likelihood(100.0, 100.0) is None and time_likelihood(100.0, None) is None
    assert time_likelihood(None, 100.0) is None and time_likelihood(90_000.0, 100.0) is None


def test_codes_and_agents():
    assert coded_phase("PORTAL_VENOUS")[0] is VP and coded_phase("pre_contrast")[0] is NC and coded_phase("") is None
    assert names_agent("Iomeron 400") and not names_agent("NONE") and not names_agent("ANONYMIZED")
