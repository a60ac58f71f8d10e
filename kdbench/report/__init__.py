"""Records become a report: numbers, judgements, figures, pages.

Imports point one way, lowest first; parts on one rank never import each other:

    readings <- judgement <- presentation, stand_ins <- figures, summaries, notes
        <- latex, markdown, dvc_views <- panels <- table_page <- render <- index <- site <- make

Up to `figures`, `summaries` and `notes` nothing knows on what kind of page it will stand.
`markdown`, `table_page` and `index` write for GitHub, `site` pages for a browser, from the same
values: `readings.lines`, `judgement.comparisons.row_comparisons`, `judgement.judge.judge_claims`
and `render.present`.
"""
