"""The generation loop and the Prefect flows. Imported as ``lepton_flows``."""
