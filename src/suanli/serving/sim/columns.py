"""Columns of the simulator's arrays and its codes. Plain integers, so that the compiled loop sees constants."""

from __future__ import annotations

# -- requests, floats: rf[request, ...] --------------------------------------------------------------------------
ARRIVED = 0  # arrival [s]
SCHEDULED = 1  # first time in a step [s]
FIRST = 2  # first token [s]
FINISHED = 3  # last token, or the time of refusal [s]
LAST = 4  # latest token before the request left the decode batch [s]
DELAY = 5  # time after the request that this one follows [s]
ENTRY_AT = 6  # event heap: time of the entry at this place [s]
DRAW_A = 7  # uniform numbers for the router
DRAW_B = 8
REQUEST_FLOATS = 9

# -- requests, integers: ri[request, ...] ------------------------------------------------------------------------
IN = 0  # prompt [token]
OUT = 1  # answer [token]
CLASS = 2  # priority class, 0 first
TICKET = 3  # order of arrival
STATUS = 4
REPLICA = 5
PREV = 6  # neighbours in the waiting or running list
NEXT = 7
EMITTED = 8  # tokens given out when it last joined the decode batch
JOINED = 9  # the replica's step counter at that time
REMAINING = 10  # prompt tokens still to compute; while decoding: key of the finish heap
DONE = 11  # tokens whose KV is there (when joining: all of them)
CHUNK = 12  # prompt tokens in the step under way
CACHED = 13  # prompt tokens that a cache answered at first admission
PREEMPTED = 14  # times it lost its place
HEAP = 15  # place in the finish heap
FOLLOW = 16  # request that arrives DELAY after this one ends, or -1
HASH = 17  # first of its prefix blocks in ids
HASHES = 18  # number of its prefix blocks
REFS = 19  # leading prefix blocks it holds in device memory
SHARED = 20  # KV blocks in those
READY = 21  # 0: prompt to compute; 1: KV swapped out; 2: KV transferred from another pool
RETRIES = 22
ENTRY = 23  # event heap: request of the entry at this place
PROMISE = 24  # tokens that it was admitted for: prompt without what it shares, and a share of its answer
KNOWN = 25  # prompt tokens that a prefix cache outside the simulation answers
REQUEST_INTS = 26
TICKET_BITS = 32  # key of the finish heap: the step of the last token, then the ticket

# -- status ------------------------------------------------------------------------------------------------------
PENDING = 0
WAITING = 1
PREFILLING = 2
DECODING = 3
TRANSFERRING = 4
COMPLETED = 5
REFUSED = 6  # admission control: the queue was full
TIMED_OUT = 7
LOST = 8  # its replica failed
TOO_LONG = 9  # does not fit in the KV cache of any replica
STRANDED = 10  # no replica was left to run it

# -- replicas, floats: pf[replica, ...] --------------------------------------------------------------------------
TIME = 0  # start of the steps under way [s]
EVENT = 1  # their end, or inf
CONTEXT = 2  # KV tokens that the next decode step attends to
STEP_A = 3  # length of the first step under way [s]
STEP_B = 4  # how much longer each following one is [s]
ENERGY = 5  # [J]
BUSY = 6  # [s]
USED = 7  # KV blocks held by requests
IDLE = 8  # KV blocks of idle cached prefixes
LAST_DECODE = 9  # end of the latest decode step [s]
EXTRA = 10  # swap time that the next step pays [s]
GROWN = 11  # KV blocks taken for the first decode step under way
PAIRS = 12  # query-key pairs of the prompt chunks under way
LOADED = 13  # when KV from lower tiers is there [s]
CONTROL_AT = 14  # next failure, repair or start [s]
ON_SINCE = 15
ON_TIME = 16  # replica-seconds that were on [s]
PEAK_USED = 17
CAPACITY = 18  # KV blocks; from here on the configuration, but for PROMISED
ADVANCE = 19  # tokens that a sequence gains in a step
PAIR_S = 20  # time of one query-key pair in prefill [s]
SWAP_S = 21  # time to move one KV block to the host or back [s]
IDLE_W = 22
OFF_W = 23
RESERVE = 24  # KV blocks that admission leaves free
MOVE_S = 25  # time of one prompt token on the link between pools [s]
PROMPT_S = 26  # what a step with prompt chunks takes more [s]
LATE = 27  # decode steps that pass between a token's step and its delivery
ANSWER = 28  # share of an answer whose KV must be free when a request is admitted
PROMISED = 29  # prompts, and that share of the answers, of all that run [token]
REPLICA_FLOATS = 30  # behind these: times between failures and of repairs, in turn [s]

# -- replicas, integers: pi[replica, ...] ------------------------------------------------------------------------
STEP = 0  # decode steps so far
BATCH = 1  # sequences decoding
COUNT = 2  # steps under way
KIND = 3
QUEUED = 4
RUNNING = 5
PARTIAL = 6  # request whose prompt is partly computed, or -1
RUN_HEAD = 7
RUN_TAIL = 8
CHUNKS = 9  # prompts in the step under way
TOKENS = 10  # tokens in the step under way
JOINERS = 11  # requests that joined since the last decode step
UP = 12
PLACE = 13  # place in the replica heap
AHEAD = 14  # prompt tokens queued or under way
FORMING = 15  # a static batch is being filled
FAILURES = 16
SLOT = 17  # how many of the drawn failures were used
DEPLOYMENT = 18  # from here on the configuration
BUDGET = 19  # tokens of a step
SEATS = 20  # most sequences at a time
POLICY = 21
ROLE = 22
DRAFTS = 23
BLOCK = 24  # tokens of a KV block
SWAPS = 25  # preemption by swap instead of recompute
QUEUE_LIMIT = 26
HEAPED = 27  # heap of replicas by next event: the replica at this place
GROUPS = 28  # attention groups, which compute prompts of their own side by side
OWN = 29  # part of the time of a step's products is the groups' own: table 4
FINISHERS = 30  # from here on: finish heap, KV phases, waiting lists, chunks and joiners of the step
REPLICA_INTS = 30
ROWS = 5  # tables of a deployment

# kinds of step
NOTHING = 0
PREFILL = 1
MIXED = 2
DECODE = 3

# policies
CONTINUOUS = 0
PREFILL_FIRST = 1
STATIC = 2

# roles of a replica
BOTH = 0
PROMPTS = 1
ANSWERS = 2

# UP: state of a replica
OFF = 0
STARTING = 1
ON = 2
DRAINING = 3
FAILED = 4

# routers
ROUND_ROBIN = 0
LEAST_OUTSTANDING = 1
POWER_OF_TWO = 2
PREFIX_AWARE = 3

# -- the whole, floats: gf[...] ----------------------------------------------------------------------------------
NOW = 0
CONTROL = 1  # earliest control event [s]
TICK = 2  # next look of the autoscaler [s]
LINK_FREE = 3  # when the link between pools is free [s]
LINK_BUSY = 4
ITL_SUM = 5
ITL_MAX = 6
BIN_S = 7  # width of a bin of the time series [s]
LOG_FROM = 8
LOG_TO = 9
TIMEOUT = 10  # configuration from here
LINK_LATENCY = 11
TICK_S = 12
START_S = 13
TARGET = 14  # outstanding requests a replica that the autoscaler aims at
GLOBAL_FLOATS = 15

# -- the whole, integers: gi[...] --------------------------------------------------------------------------------
NEXT_ARRIVAL = 0
STATIC_ARRIVALS = 1  # requests with a known arrival come first in the table
OPEN = 2  # requests that are not over
TICKETS = 3
EVENTS = 4  # entries of the event heap
TURN = 5  # of the round robin, entry pool
TURN_DECODE = 6
STEPS = 7  # model steps so far
LOGGED = 8
DRAW = 9
HITS = 10  # result of the latest look into the prefix caches: blocks found
HIT_NEED = 11  # KV blocks that using them takes
HIT_SHARED = 12  # KV blocks they hold in all
FREE_NODE = 13
PREEMPTIONS = 14
LOG_ROWS = 15
PHASE_AT = 16  # offsets in the replicas' rows, and the rest of the configuration
QUEUE_AT = 17
CHUNK_AT = 18
JOIN_AT = 19
CLASSES = 20
BUDGET_MAX = 21  # tables: index of the last token count
ROUTER = 22
TIERS = 23  # 0: no prefix cache
BLOCK_TOKENS = 24
FREQUENCIES = 25
RETRY_LIMIT = 26
MIN_UP = 27
MAX_UP = 28
SPLIT = 29  # 1: separate pools for prompts and answers
ADMITTED = 30  # request that was admitted last
CACHES = 31
GLOBAL_INTS = 32

# -- nodes of the prefix caches: cn[node, ...] -------------------------------------------------------------------
N_BLOCK = 0
N_CACHE = 1
N_PREV = 2
N_NEXT = 3
N_REFS = 4
N_USES = 5
N_SIZE = 6
H_KEY = 7  # hash table, by slot: (block, cache) and its node
H_NODE = 8
L_OLDEST = 9  # lists, by cache and class of use
L_NEWEST = 10
NODE_INTS = 11

# -- tiers: tf[tier, ...] ----------------------------------------------------------------------------------------
T_CAPACITY = 0  # KV blocks of one cache
T_READ_S = 1  # per KV block
T_LATENCY = 2
T_SHARED = 3
T_FIRST = 4  # its first cache
T_HIT_TOKENS = 5
T_READ = 6  # KV blocks read
T_WRITTEN = 7
T_EVICTED = 8
TIER_FLOATS = 9

# caches, behind the tiers: tf[tiers + cache, ...]
C_HELD = 0  # KV blocks
C_FREE_AT = 1  # when its channel is free [s]

# -- records: rec[bin or row, ...] -----------------------------------------------------------------------------------
S_BUSY = 0
S_PROMPT = 1
S_OUTPUT = 2
S_ENERGY = 3
S_BATCH = 4
S_KV = 5
S_QUEUE = 6
SERIES = 7
ITL = 7  # histogram of inter-token latency
LOG = 8  # log: replica, start, end, kind, steps, batch, prompt tokens, KV blocks
RECORD_FLOATS = 16
BINS = 2048  # of the time series; at least half of them are used
ITL_BINS = 2600  # 1 us to 200,000 s in steps of 1 %
