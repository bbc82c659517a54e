"""Issues: publications, their issues, and one edition per language, until they are frozen.

Decides: what a publication is and how it presents itself in each language, what an issue holds, which
compiled bytes are frozen under which hash. Does not decide who approves or to whom it goes (delivery).
"""
