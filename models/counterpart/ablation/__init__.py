"""Takes the method apart: each row of the ablation has one part more than the row before it."""
