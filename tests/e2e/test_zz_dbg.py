import sys; sys.path.insert(0,"/work/main/tests/e2e")
from conftest import *
from test_leftovers import *
from test_leftovers import s3, killer, folder
def test_dbg(program, s3, killer, folder):
    job = s3_job(program, killer, folder)
    print(program.call("run", job).stderr, uploads(s3, folder))
    print(killer.counts)
    killer.counts.clear()
    assert killed_at(program, killer, "complete", 2, False, "run", job)
    print(killer.counts, uploads(s3, folder))
    killer.counts.clear()
    print(program.call("runs","retry", runs(program)[0]["run"]))
    print(killer.counts, uploads(s3, folder)); 
    print(sorted(s3.files(folder)))
    assert 0
