//! What is kept of a matrix: a table in Markdown.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, Table as Grid, presets};
use tests::machine;

use crate::site::Site;
use crate::traffic::Tally;

/// What a fault came to.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Whether zones that promise fresh answers must have given them all along.
    pub(crate) is_steady: bool,
    pub(crate) tally: Tally,
    /// From the fault until a front-end said that something was wrong, if one did.
    pub(crate) noticed: Option<Duration>,
    /// From healing until all front-ends served a write made after it.
    pub(crate) everywhere: Duration,
}

impl Row {
    fn cells(&self) -> [String; 9] {
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        [
            self.name.into(),
            self.tally.queries.to_string(),
            self.tally.unproved.to_string(),
            self.tally.unanswered.to_string(),
            self.tally.wrong.to_string(),
            self.tally.acknowledged.to_string(),
            self.tally.lost.to_string(),
            self.noticed.map_or("-".into(), seconds),
            seconds(self.everywhere),
        ]
    }

    pub(crate) fn line(&self) -> String {
        self.cells().join(" | ")
    }
}

pub(crate) struct Table {
    members: usize,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(members: usize) -> Self {
        Table {
            members,
            rows: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, site: Site) {
        self.rows.extend(site.rows);
    }

    /// Prints it, writes it into the folder that `NSD_TEST_RESULTS` names, and panics where a promise was not kept.
    pub(crate) fn end(self) {
        let text = self.text();
        println!("{text}");
        if let Some(folder) =
            std::env::var_os("NSD_TEST_RESULTS").filter(|folder| !folder.is_empty())
        {
            let path = Path::new(&folder).join(format!("{}-members.md", self.members));
            std::fs::write(&path, text)
                .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        }
        let violations: Vec<String> = self
            .rows
            .iter()
            .flat_map(|row| {
                let told = row.tally.violations.iter();
                told.map(|violation| format!("{}: {violation}", row.name))
            })
            .collect();
        assert!(violations.is_empty(), "{}", violations.join("\n"));
        for row in &self.rows {
            let tally = &row.tally;
            assert!(
                tally.least_answered > 200,
                "a poor test: {}: {tally:?}",
                row.name
            );
            assert!(
                tally.unproved == 0 || !row.is_steady,
                "fresh answers were refused: {}: {tally:?}",
                row.name
            );
        }
    }

    fn text(&self) -> String {
        let mut grid = Grid::new();
        grid.load_style(presets::ASCII_MARKDOWN).set_header([
            "fault",
            "queries",
            "not proved",
            "unanswered",
            "wrong",
            "writes",
            "lost",
            "noticed after",
            "everywhere after",
        ]);
        for (index, column) in grid.column_iter_mut().enumerate() {
            if index > 0 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in &self.rows {
            grid.add_row(row.cells());
        }
        let mut text = format!(
            "# Faults of a cluster of {} members with three front-ends\n\n",
            self.members
        );
        let long = if self.members == 5 {
            "NSD_TEST_LONG=1 "
        } else {
            ""
        };
        writeln!(
            text,
            "`{long}NSD_TEST_RESULTS=$PWD/tests/faults/results cargo test --workspace --test faults`, {}.\n\n{grid}",
            machine()
        )
        .expect("a string takes it");
        text
    }
}
