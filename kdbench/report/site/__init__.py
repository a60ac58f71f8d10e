"""The report as pages for a browser: offline, from records only, complete without scripts.

Imports point one way, lowest first:

    words <- details, standings, overview <- boards, ranks <- charts <- figure_charts, assets
        <- shell <- running <- pages
"""
