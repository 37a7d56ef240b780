import pytest, collections, time
from hypothesis import given, settings, HealthCheck, event, Phase
from tests.conductor.test_lives import lives
def test_it():
    n=collections.Counter()
    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=120, database=None)
    @given(deeds=lives)
    def go(deeds):
        n[len(deeds)]+=1
        print(str(deeds)[:300])
    go()
    print(n)
