"""From the group's partitions to one event per (partition, fetch chunk): Faust's Kafka transport, made safe.

`lease.py` is the bookkeeping, `thread.py` fetches and commits inside Faust's consumer thread, `consumer.py` joins both
to Faust's services. What differs from the stock transport, and why:

* one event per chunk instead of one per record (the stock loop costs 40 µs a record);
* commits follow the lease: a refused commit is never believed, a lost partition is never committed;
* a coordinator error is consumed, so that the member rejoins instead of idling for good;
* a partition begins only when its state and the tip of its alerts are there.
"""
