"""Code that a model wrote, run in a child process that the system keeps apart.

Three layers, the strongest that works here is taken:

- ``bubblewrap``: the program bwrap, where it is installed;
- ``namespaces``: the same by the programs unshare, mount, chroot and setpriv of util-linux;
- ``limits``: limits on resources alone, for code that one would run oneself.

In all of them the child has a clean environment, an empty standard input, an empty folder of its own to work in,
bounded memory, processor time, files, output and open files, no core dumps, and is killed with what it started when its
time is over.  The first two also take from it: the network, all processes but its own, all files but those that Python
and the system's libraries consist of (to be read, not written), any privilege, and more than a few processes; where
root runs them the child is nobody.

Not stopped by any layer: an attack on the kernel itself; use of the processor and of memory up to the limits; a look at
how long things take; reading what lies beside Python's own files, which site-packages are.
Not stopped by ``limits``, besides: reading and writing every file of the user, the network, signals to the user's
processes (this one is among them), children that leave their process group and outlive the run, and, where root runs
it, any number of processes.  macOS has this layer alone, and does not hold processes to their bound on memory there.
Windows has none.
"""

from nanochat_np.execute.execution import Execution, execute_code
from nanochat_np.execute.layers import Layer, strongest_layer, works

__all__ = ["Execution", "Layer", "execute_code", "strongest_layer", "works"]
