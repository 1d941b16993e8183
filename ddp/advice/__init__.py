"""`advise=true`: what a job would take on each backend, predicted from a few constants that are measured once per machine.

trainer_costs, start_costs and exchange_costs (by pilot runs) -> measure -> calibration -> constants, with sizes and simulation ->
cost_model -> prediction -> crossover -> advise: what is measured, kept, and what a step costs by it; a run made of such steps;
where another backend wins; the answer in words.
"""
