"""Every setting of a run as frozen dataclasses, checked where they are built.

Hydra composes the YAML files of this folder; `configs.load` turns the result into `RunConfig` once, at the top of a
script. Nothing below a script sees OmegaConf. A value that cannot be used raises `ConfigError` with one line that
names the setting, the value and what it must be.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from goalbridge.configs.checks import check_device, check_fields, choice, number, one_of, require
from goalbridge.configs.data_schema import STORED, DataConfig
from goalbridge.configs.registries import estimators, objectives, text_encoders, worlds
from goalbridge.configs.world_settings import WorldSettings, settings_of

CRITICS = ("neg_squared_l2", "neg_l2", "dot", "cosine")
DUPLICATES = ("positives", "masked", "negatives")
PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True)
class EncoderConfig:
    """The language encoder.

    kind: "sentence" (a frozen sentence-transformers model and a trained head), "label" (a plain embedding of the
        canonical command; an ablation that cannot read new phrasings), or a plug-in's.
    text_model: name or folder of the sentence-transformers model.
    word_order: also read where in a text its words stand, which sentence embeddings hardly tell.
    cache_dir: folder that keeps each distinct text's embedding, shared between runs of a sweep; run_dir if empty.
    trust_remote_code: whether code that the text model brings may be run (docs/SECURITY.md).
    """

    kind: str = choice("sentence", text_encoders.names)
    text_model: str = "all-MiniLM-L6-v2"
    word_order: bool = True
    cache_dir: str = ""
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "encoder.")
        require(bool(self.text_model), "encoder.text_model", repr(self.text_model), "must be a model's name or folder")


@dataclass(frozen=True)
class AgentConfig:
    """The networks: both critics share one goal encoder.

    critic: similarity of representations of state-actions and goals, times a learned inverse temperature.
    language_critic: that of goals and language; as `critic` if empty. "dot" lets what a text does not speak of drop
        out.
    embedding_dim: size of every representation.
    width: hidden units of each tower's layers.
    depth: hidden layers of each tower.
    frequencies: Fourier features sin, cos(2 pi k x) of coordinates scaled to [-1, 1].
    bridge_goals: M, the goals stored with the agent that LogSumExp sums over.
    text_depth: hidden layers over the frozen text features.
    text_dropout: share of the text features that is left out in training.
    rotary: in grids, position rotates representations, so that critics see displacements (else Fourier features).
    language_in_actions: in grids, state-actions also see the types and colours around them, and share a part of their
        representation with language; what "direct" and the end-to-end rival need.
    """

    critic: str = choice("neg_squared_l2", CRITICS)
    language_critic: str = ""
    embedding_dim: int = number(64, least=1)
    width: int = number(128, least=1)
    depth: int = number(3, least=1)
    frequencies: tuple[float, ...] = number((0.25, 0.5, 1.0, 2.0, 4.0), above=0)
    bridge_goals: int = number(5000, least=1)
    text_depth: int = number(2, least=0)
    text_dropout: float = number(0.0, least=0, below=1)
    rotary: bool = True
    language_in_actions: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "agent.")
        one_of("agent.language_critic", self.language_critic or self.critic, CRITICS)


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation, logging and checkpoints.

    steps: gradient steps.
    batch_size: pairs of each kind in a step, of all processes together.
    learning_rate: its peak, after the warmup and before a cosine to zero.
    warmup: share of the steps in which the learning rate rises to its peak.
    weight_decay: AdamW's.
    gradient_clip: largest gradient norm.
    discount: a future goal lies Geometric(1 - discount) steps ahead.
    ema: decay of the averaged weights that act.
    action_negatives: random actions contrasted with the true one at each (state, goal).
    action_weight: weight of the loss over these actions.
    caption_weight: weight of the goal-language loss.
    logsumexp_penalty: weight of the squared log-partition.
    multi_positives: what becomes of captions that are true of another goal of the batch: "positives" of it too,
        "masked" (left out) or "negatives" (plain InfoNCE).
    objective: "bridge" (both contrastive pairs), or a rival's, which is shown captions of what state-actions led to:
        "end_to_end" (state-actions against captions) or "behaviour_cloning" (the action taken against others), or a
        plug-in's.
    negatives_per_layout: goals are compared only within a layout, in groups of so many (0: all with all).
    hard_negative_share: share of such a group from trajectories that start close together.
    precision: "float32", or "bf16" (the towers compute in bfloat16; weights, critics and losses stay as they are).
    compile: let torch.compile make one program of the losses, which takes a minute and a C++ compiler.
    log_every: steps between scalars.
    evaluate_every: steps between evaluations (0: only at the end).
    evaluation_episodes: episodes of each evaluation during training.
    checkpoint_every: steps between checkpoints (0: only at the end).
    """

    steps: int = number(1600, least=1)
    batch_size: int = number(256, least=2)
    learning_rate: float = number(1e-2, above=0)
    warmup: float = number(0.1, least=0, below=1)
    weight_decay: float = number(1e-4, least=0)
    gradient_clip: float = number(1.0, above=0)
    discount: float = number(0.98, above=0, below=1)
    ema: float = number(0.99, least=0, below=1)
    action_negatives: int = number(4, least=0)
    action_weight: float = number(2.0, least=0)
    caption_weight: float = number(2.0, least=0)
    logsumexp_penalty: float = number(0.0, least=0)
    multi_positives: str = choice("positives", DUPLICATES)
    objective: str = choice("bridge", objectives.names)
    negatives_per_layout: int = number(0, least=0)
    hard_negative_share: float = number(0.0, least=0, most=1)
    precision: str = choice("float32", PRECISIONS)
    compile: bool = False
    log_every: int = number(20, least=1)
    evaluate_every: int = number(400, least=0)
    evaluation_episodes: int = number(40, least=1)
    checkpoint_every: int = number(400, least=0)

    def __post_init__(self) -> None:
        check_fields(self, "train.")
        size = self.negatives_per_layout
        divides = size == 0 or (size > 1 and self.batch_size % size == 0)
        require(divides, "train.negatives_per_layout", size, f"must divide train.batch_size={self.batch_size}")


@dataclass(frozen=True)
class PolicyConfig:
    """How the agent acts.

    name: the estimator.
    candidate_actions: how many actions it weighs (directions, in the mazes).
    average_noise: weigh an action by what the actuator makes of it, averaging exp(score) over the known noise.
    mask_blocked: after an action that changed nothing, bar it and its like for four steps (in grids: there, for good).
    candidate_goals: in grids, the poses that are goals: "free" (cells seen to be free, and unlocked doors) or "all".
    hop_share: of "planned": how likely a hop must be beside the likeliest.
    hop_discount: of "planned": what each hop costs.
    max_iterations: of "planned": how often values are handed on at most.
    parse_compositions: read "or", "but not" and "and" as compositions of the goals' posteriors.
    eliminate_visited: goals that an episode has come by and gone on were not meant.
    language_temperature: of "tempered": what f_BC is divided by.
    proposals: of "resampled": how many goals are drawn for an instruction.
    """

    name: str = choice("logsumexp", estimators.names)
    candidate_actions: int = number(32, least=2)
    average_noise: bool = True
    mask_blocked: bool = True
    candidate_goals: str = choice("free", ("free", "all"))
    hop_share: float = number(0.7, above=0, below=1)
    hop_discount: float = number(0.7, above=0, below=1)
    max_iterations: int = number(400, least=1)
    parse_compositions: bool = True
    eliminate_visited: bool = True
    language_temperature: float = number(0.5, above=0)
    proposals: int = number(256, least=1)

    def __post_init__(self) -> None:
        check_fields(self, "policy.")


@dataclass(frozen=True)
class RunConfig:
    """All of a run.

    env: the world, and the settings of its own.
    run_dir: the folder under which all that is written lies.
    seed: decides data, weights, batches and evaluation.
    resume: go on from run_dir's last checkpoint.
    device: auto (the first of cuda, mps, cpu that is there), or a name such as cuda:1.
    dataset: of data=minari, an id or a folder; of data=files, a file or a folder, which have no env.
    data: where trajectories and captions come from.
    encoder: the language encoder.
    agent: the networks.
    train: optimisation, logging and checkpoints.
    policy: how the agent acts.
    """

    env: WorldSettings
    run_dir: str
    seed: int = 0
    resume: bool = False
    device: str = "auto"
    dataset: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)

    def __post_init__(self) -> None:
        require(bool(self.run_dir), "run_dir", repr(self.run_dir), "must be a folder, such as runs/fork")
        require(0 <= self.seed < 2**32, "seed", self.seed, "must be at least 0 and below 2**32")
        check_device(self.device)
        if self.data.kind in worlds.names():  # data that are a world themselves: the record names no other
            object.__setattr__(self, "env", settings_of(self.data.kind)())
        self._check_dataset()
        self.env.check(self)

    def _check_dataset(self) -> None:
        kind = self.data.kind
        if kind not in STORED:
            require(not self.dataset, "dataset", self.dataset, f"is for data=minari or data=files, not data={kind}")
            return
        needed = "an id or folder of a Minari dataset" if kind == "minari" else "a file or folder of trajectories"
        require(bool(self.dataset), "dataset", repr(self.dataset), f"must be {needed} with data={kind}")
