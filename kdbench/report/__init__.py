"""Records become a report: numbers, judgements, figures, pages.

Imports point one way, lowest first; parts on one rank never import each other:

    readings <- judgement <- presentation <- figures, summaries <- markdown <- table_page
        <- render <- index <- make

Up to `figures` and `summaries` nothing knows on what kind of page it will stand. A second writer
(HTML, say) would be a package beside `markdown`, `table_page` and `index` that takes the same
values: `readings.cells.results`, `judgement.comparisons.row_comparisons`,
`judgement.judge.judge_claims` and `render.present`.
"""
