"""What README's figures come from. Each module is a command that prints ratios measured side by
side, and writes JSON.
"""
