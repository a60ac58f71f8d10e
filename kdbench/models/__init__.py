"""Staged networks: what they are, the families that build them, and how one is pruned.

Imports point one way, lowest first:

- `blocks`: layers that families share; `segments`: the modules of stages; `stages`: the network of
  such stages (`StagedNetwork`) and what one pass gives (`Features`).
- `statistics` (batch norms that do not remember a batch) and `checkpoints` (weights made
  elsewhere) know no family.
- `families/`: one module per family and one TOML declaration per naming of its networks. Adding
  both adds a network; nothing else is edited.
- `pruning/`: gates on what layers read (`gates`), what closed gates leave (`channel_layout`), the
  file that says so (`structure`), the smaller network (`slimming`, `build`). A module named after
  a family says where its gates lie; adding one makes the family prunable.

No family knows of pruning.
"""
