"""What PySpark's worker does around every task, made cheap.

Before a task it calls `importlib.invalidate_caches()`, upon which each zip file on the path is read anew; after it
`gc.collect()`, which with Beam imported looks at millions of objects. Together that is 0.1 s a task.
"""

import gc
import sys
import zipimport

from pyspark import TaskContext


def keep_warm(*, first: bool) -> None:
    """Call after a task's work.

    What is there after a stage's `first` bundle (modules, unpickled functions) stays: it is taken out of the garbage
    collector's sight. After every bundle that would keep garbage for ever. Nothing happens outside a Spark task.
    """
    if TaskContext.get() is None:
        return
    if first:
        gc.collect()
        gc.freeze()
    for path, importer in list(sys.path_importer_cache.items()):
        if isinstance(importer, zipimport.zipimporter):
            del sys.path_importer_cache[path]
