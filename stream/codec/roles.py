"""Which part each field of a stream's messages plays: the engine knows parts alone, people know the fields' names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from stream.codec.parsed import KEYS, NUMBERS, TIMES, WORDS
from stream.codec.words import Memo, normalise, vocabulary
from stream.events import Transaction

S = TypeVar("S", bound=msgspec.Struct)
ROLES: tuple[str, ...] = Transaction.__struct_fields__
REQUIRED = tuple(field.name for field in msgspec.structs.fields(Transaction) if field.required)
FREE = ("channel", "entry_mode", "three_ds", "cvv_result", "avs_result")  # their words mean nothing to the engine
# Whether these are there can be told from what is read; an approval and no answer are the same to us.
_DEMANDABLE = {*NUMBERS, *TIMES, *KEYS, *WORDS} - {"rate", "response_code"}


@dataclass(frozen=True)
class Roles:
    """The fields of a stream.

    Parameters
    ----------
    names
        ``role -> name``; roles are the fields of `Transaction`, names those of the messages, and the ones that alerts,
        dead letters and settings speak of. A role left out never occurs in the stream. The roles of `REQUIRED` (id,
        time, who, with whom, how much, of which currency) are always there.
    required
        Roles that messages must hold beyond those of `REQUIRED`.
    words
        ``role -> words`` of roles of `FREE` that hold other words than a card's: kernels see a word's place, from 1;
        0 is missing, and one beyond the last is any other word.

    Raises
    ------
    ValueError
        An unknown role, one that must be there is left out, or two roles share a name.
    """

    names: Mapping[str, str]
    required: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    memos: Mapping[str, Memo] = field(init=False, repr=False, compare=False)
    role_of: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = dict(self.names)
        if unknown := [role for role in given if role not in ROLES]:
            raise ValueError(f"{unknown[0]!r} is no role; roles are {', '.join(ROLES)}")
        if lacking := [role for role in REQUIRED if role not in given]:
            raise ValueError(f"no field plays {lacking[0]}; every stream has {', '.join(REQUIRED)}")
        for role, name in given.items():
            if not isinstance(name, str) or not name.isidentifier():
                raise ValueError(f"the field that plays {role} is {name!r}; a name is letters, digits and underscores")
        role_of = {name: role for role, name in given.items()}
        if len(role_of) < len(given):
            twice = next(name for name in role_of if list(given.values()).count(name) > 1)
            raise ValueError(f"field {twice} plays two roles; a field plays one")
        if wrong := [role for role in self.required if role not in given or role not in _DEMANDABLE]:
            raise ValueError(
                f"{wrong[0]} cannot be required; it is none of the stream's fields that can be told missing"
            )
        if odd := [role for role in self.words if role not in FREE or role not in given]:
            raise ValueError(f"{odd[0]} cannot have words of its own; these can: {', '.join(FREE)}")
        spoken = {role: tuple(map(normalise, words)) for role, words in self.words.items()}
        if odd := [role for role, words in spoken.items() if not all(words) or len(set(words)) < len(words)]:
            raise ValueError(f"the words of {odd[0]} are not all different")
        memos = dict(WORDS) | {role: vocabulary(("", *words, "?"), {}) for role, words in spoken.items()}
        object.__setattr__(self, "words", MappingProxyType(spoken))
        object.__setattr__(self, "memos", MappingProxyType(memos))
        object.__setattr__(self, "names", MappingProxyType(given))
        object.__setattr__(self, "role_of", MappingProxyType(role_of))

    @property
    def plain(self) -> bool:
        """Whether every role goes by its own name and has the words of a card's."""
        return (
            not self.words and len(self.names) == len(ROLES) and all(role == name for role, name in self.names.items())
        )

    def name(self, role: str) -> str:
        """The field that plays a role; the role itself where none does."""
        return self.names.get(role, role)

    def beside(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message beside the stream (a label, an event) with its ids by role instead of by the stream's names."""
        own = {self.name(role): role for role in self.names if role.endswith("_id")}
        return {own.get(name, name): value for name, value in message.items()}

    def reader(self, struct: type[S]) -> Callable[[bytes], S]:
        """A JSON decoder of a message beside the stream (a label, an event) whose ids go by the stream's names."""
        given = msgspec.structs.fields(struct)
        names = {item.name: self.name(item.name) for item in given if item.name.endswith("_id")}
        if all(role == name for role, name in names.items()):
            return msgspec.json.Decoder(struct).decode
        fields = [(item.name, item.type) if item.required else (item.name, item.type, _default(item)) for item in given]
        decode = msgspec.json.Decoder(msgspec.defstruct(struct.__name__, fields, rename=names)).decode
        return lambda value: struct(*msgspec.structs.astuple(decode(value)))


def _default(item: msgspec.structs.FieldInfo) -> Any:
    lazy = item.default_factory is not msgspec.NODEFAULT
    return msgspec.field(default_factory=item.default_factory) if lazy else item.default


CARD_ROLES = Roles({role: role for role in ROLES})
