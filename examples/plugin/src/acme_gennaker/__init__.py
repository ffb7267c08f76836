"""A stage type of its own, in a distribution of its own."""

from gennaker.stage import Context, Outcome, Stage, StageInputs, StageOutputs, Succeeded


class Greet(Stage):
    """Greet somebody."""

    name = "acme.greet"

    class Inputs(StageInputs):
        who: str
        loud: bool = False

    class Outputs(StageOutputs):
        greeting: str

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        greeting = f"hello {inputs.who}"
        greeting = greeting.upper() if inputs.loud else greeting
        ctx.log(greeting)
        return Succeeded({"greeting": greeting})
