import os, pytest, collections, time, traceback
from random import Random
from tests.conductor.life import live
from tests.conductor.inventing import invent
from tests.conductor.invariants import broken
from tests.conductor.test_lives import shortened, outcome
from servers.models import *
import structlog, logging
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
C=collections.Counter(); T=[]
@pytest.mark.django_db
def test_it():
    first, n = int(os.environ.get("SEED","0")), int(os.environ.get("LIVES","150"))
    kinds=collections.defaultdict(list)
    for seed in range(first, first+n):
        storage = ["local","shared"][seed%2]
        deeds = invent(Random(seed))
        t=time.process_time()
        try:
            for life in live(storage, deeds):
                b=broken(life)
                for r in ActionRecord.objects.exclude(slug="reconcile"): C[r.slug, r.status+(" stalled" if r.stalled_at else ""), r.error_code]+=1
                for pk,(slug,_) in life.accepted.items(): C[slug,"accepted",""]+=1
        except Exception as e:
            b=["RAISED "+repr(e)[:100]+" ".join(traceback.format_exc().splitlines()[-12:])]
        if b: kinds[b[0][:25]].append((seed,storage,b))
        T.append(time.process_time()-t)
    for k,v in sorted(C.items()): print("N", k,v)
    print("N mean", sum(T)/len(T), "max", max(T), len(T))
    for k,v in kinds.items():
        print("K", len(v), k)
        for seed,storage,b in v[:int(os.environ.get("SHOW","2"))]:
            d=invent(Random(seed))
            try: d=shortened(storage, d) if not b[0].startswith("RAISED") else d; b=b if b[0].startswith("RAISED") else outcome(storage,d)
            except Exception as e: b.append("SHORT RAISED %r"%e)
            print("K   ", seed, storage, b, "\nK      ", d)
import tests.conductor.deeds as d
o=d.Work.strike
def s(self, life):
    C["STRIKE", str(self.fate), len(self.then)]+=1
    return o(self, life)
d.Work.strike=s
od=d.Work.do
def do(self, life):
    C["WORK", str(self.at is not None), ""]+=1
    from servers.conductor.work import due
    try: C["DUE", str(min(len(due()),1)), ""]+=1
    except Exception: pass
    return od(self, life)
d.Work.do=do
