use std::collections::HashSet;

use record::{
    Axis, Column, Event, Fate, Field, Figure, Line, Record, Sequence, Series, States, Step, Table,
    What, Wire,
};

use super::{Context, draw, problems, texts};

const HOSTILE: &str = "</p><script>alert(\"'&`x`\n\n";

/// The figures of the style guide: one of each kind.
fn samples() -> Record {
    serde_json::from_str(include_str!("../../styleguide/record.json")).unwrap()
}

fn drawn(figure: &Figure) -> String {
    draw_in("en", figure, &|_| None)
}

fn draw_in(language: &str, figure: &Figure, labels: &dyn Fn(&str) -> Option<String>) -> String {
    draw(
        figure,
        &Context {
            id: "fig-a-b",
            caption_html: "A <em>caption</em> &amp;\n\nmore",
            language,
            words: &|key| match key {
                "figure-one-byte" | "figure-bytes" => "{count} B".to_owned(),
                "figure-one-bit" | "figure-bits" => "{count} b".to_owned(),
                key => format!("[{key}]"),
            },
            labels,
            source_url: "https://example.org/?a=1&b=\"",
            listing: "a-b",
            drawn: false,
            provenance: None,
        },
    )
}

/// Reads the markup back: every tag closed in order, no attribute twice, no id twice. Gives the
/// text and the ids.
fn read_back(html: &str) -> (String, HashSet<String>) {
    let (mut text, mut open, mut ids) = (String::new(), Vec::new(), HashSet::new());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed in order");
            continue;
        }
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        open.push(name);
        let mut seen = HashSet::new();
        while let Some((attribute, after)) = attributes.split_once("=\"") {
            let (value, after) = after.split_once('"').expect("a value ends");
            assert!(seen.insert(attribute), "{attribute} twice in <{tag}>");
            if attribute == "id" {
                assert!(ids.insert(value.to_owned()), "two elements are {value:?}");
                assert!(value.starts_with("fig-a-b"), "{value:?}");
            }
            attributes = after.trim_start();
        }
        assert_eq!(attributes, "", "in <{tag}>");
    }
    assert_eq!(open, Vec::<&str>::new());
    (text + rest, ids)
}

/// The values of an attribute wherever it stands.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    html.split(&format!(" {attribute}=\""))
        .skip(1)
        .map(|after| after.split('"').next().unwrap())
        .collect()
}

fn hostile() -> Vec<Figure> {
    let mut sequence = Sequence::new();
    let host = sequence.host(HOSTILE, Some(HOSTILE));
    let other = sequence.host(HOSTILE, None);
    sequence.message(0, host, other, HOSTILE, Some(HOSTILE));
    sequence.message(7, host, host, HOSTILE, None);
    sequence.state(u64::MAX, host, HOSTILE, Some(HOSTILE));
    let field = Field::bytes(HOSTILE, 0, 1).value(HOSTILE).note(HOSTILE);
    vec![
        sequence.into(),
        Wire {
            bytes: vec![1],
            fields: vec![field.clone().fields([field])],
        }
        .into(),
        Series {
            x: Axis::new(HOSTILE, HOSTILE),
            y: Axis::new(HOSTILE, HOSTILE),
            lines: vec![Line {
                name: HOSTILE.into(),
                points: vec![(f64::MIN, f64::MAX), (f64::MAX, f64::MIN)],
            }],
        }
        .into(),
        Table::new([Column::words(HOSTILE), Column::number(HOSTILE, HOSTILE)])
            .row([HOSTILE.into(), HOSTILE.into()])
            .into(),
        {
            let mut states = States::new();
            states.state(HOSTILE, f64::MAX, -1.0);
            states.state(HOSTILE, 0.0, f64::MIN_POSITIVE);
            for (from, to) in [(0, 1), (1, 0), (1, 1), (0, usize::MAX)] {
                states.bent_transition(from, to, HOSTILE, f64::MAX);
            }
            let step = |transition| Step {
                at_us: u64::MAX,
                transition,
            };
            states.walk(HOSTILE, [0, 1, 2, 3, usize::MAX].map(step));
            states.into()
        },
    ]
}

#[test]
fn the_samples_have_no_problems() {
    for (name, figure) in &samples().figures {
        assert_eq!(problems(figure), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_figure_is_one_line_of_well_formed_markup_with_ids_of_its_own() {
    for (name, figure) in &samples().figures {
        let html = drawn(figure);
        assert!(!html.contains(['\n', '\r']), "{name}");
        assert!(html.starts_with(&format!(
            "<figure class=\"figure figure-{name}\" id=\"fig-a-b\""
        )));
        let (_, ids) = read_back(&html);
        for attribute in ["aria-labelledby", "marker-end"] {
            for value in values(&html, attribute) {
                for id in value
                    .trim_matches(['u', 'r', 'l', '(', '#', ')'])
                    .split(' ')
                {
                    assert!(ids.contains(id), "{name}: {attribute} names {id:?}");
                }
            }
        }
    }
}

#[test]
fn figures_come_out_the_same_each_time() {
    for figure in samples().figures.values() {
        assert_eq!(drawn(figure), drawn(figure));
    }
}

#[test]
fn hostile_text_never_becomes_markup() {
    for figure in hostile() {
        let html = drawn(&figure);
        assert!(!html.contains("<script") && !html.contains('\n'), "{html}");
        let (text, _) = read_back(&html);
        assert!(text.contains("&lt;/p&gt;&lt;script&gt;alert("), "{text}");
    }
}

#[test]
fn hostile_translations_never_become_markup() {
    for figure in hostile() {
        let html = draw_in("ko", &figure, &|_| Some(HOSTILE.to_owned()));
        assert!(!html.contains("<script") && !html.contains('\n'), "{html}");
        read_back(&html);
    }
}

#[test]
fn all_texts_of_a_figure_are_drawn_translated() {
    for (name, figure) in &samples().figures {
        let keys = texts(figure);
        assert!(!keys.is_empty());
        // Each key becomes a word that no wrapping can tear, its verbatim parts behind it.
        let labels = |key: &str| {
            let at = keys.iter().position(|known| known == key)?;
            Some(format!(
                "번역{at}호{}",
                "{}".repeat(key.matches("{}").count())
            ))
        };
        let (text, _) = read_back(&draw_in("ko", figure, &labels));
        for (at, key) in keys.iter().enumerate() {
            assert!(text.contains(&format!("번역{at}호")), "{name}: {key:?}");
        }
        assert!(!draw_in("ko", figure, &labels).contains("lang="), "{name}");
    }
}

#[test]
fn what_is_not_translated_says_that_it_is_english() {
    for figure in samples().figures.values() {
        assert!(draw_in("ko", figure, &|_| None).contains(" lang=\"en\""));
        assert!(!draw_in("en", figure, &|_| None).contains(" lang=\"en\""));
    }
}

#[test]
fn texts_are_keys_with_prose_each_once() {
    let mut sequence = Sequence::new();
    let host = sequence.host("client", Some("`127.0.0.1:80`"));
    sequence.message(0, host, host, "`SYN`", Some("to port `80`"));
    sequence.message(1, host, host, "`SYN`", Some("to port `81`"));
    assert_eq!(texts(&sequence.into()), ["client", "to port {}"]);

    let table = Table::new([Column::words("format"), Column::number("size", "bytes")])
        .row(["`JSON`".into(), "58 or so".into()]);
    assert_eq!(texts(&table.into()), ["format", "size", "bytes"]);
}

#[test]
fn every_event_has_one_step_in_the_drawing_and_one_row_in_the_data() {
    let samples = samples();
    let Figure::Sequence(sequence) = &samples.figures["sequence"] else {
        panic!("a sequence");
    };
    let html = drawn(&samples.figures["sequence"]);
    let (body, data) = html.split_once("<details").unwrap();
    for (step, event) in sequence.events.iter().enumerate() {
        let step = format!("data-step=\"{step}\"");
        assert_eq!(data.matches(&step).count(), 1);
        assert!(body.contains(&step));
        let (What::Message { label, .. } | What::State { label, .. }) = &event.what;
        let label = label.split('`').nth(1).unwrap();
        assert!(body.contains(&format!(">{label}")) && data.contains(&format!("<code>{label}")));
    }
}

#[test]
fn messages_that_overtake_one_another_cross() {
    let mut sequence = Sequence::new();
    let (a, b) = (sequence.host("a", None), sequence.host("b", None));
    for (at_us, arrived_us) in [(0, 900), (100, 300)] {
        sequence.message(at_us, a, b, "`x`", None);
        let Some(Event {
            what:
                What::Message {
                    arrived_us: arrival,
                    ..
                },
            ..
        }) = sequence.events.last_mut()
        else {
            unreachable!("a message was added");
        };
        *arrival = Some(arrived_us);
    }
    let html = drawn(&sequence.into());
    let arrows: Vec<(f64, f64)> = html
        .split("class=\"arrow\"")
        .skip(1)
        .map(|arrow| {
            let y = |name| values(arrow, name)[0].parse().unwrap();
            (y("y1"), y("y2"))
        })
        .collect();
    assert!(
        arrows[0].0 < arrows[1].0 && arrows[0].1 > arrows[1].1,
        "{arrows:?}"
    );
}

#[test]
fn a_lost_message_ends_with_a_cross_and_reaches_no_one() {
    let mut sequence = Sequence::new();
    let (a, b) = (sequence.host("a", None), sequence.host("b", None));
    sequence.message(0, a, b, "`x`", None);
    let before = drawn(&sequence.clone().into());
    let What::Message { fate, .. } = &mut sequence.events[0].what else {
        unreachable!("a message was added");
    };
    *fate = Fate::Lost;
    let after = drawn(&sequence.into());
    assert!(!before.contains("class=\"cross\"") && after.contains("class=\"cross\""));
    assert!(before.contains("marker-end") && !after.contains("marker-end"));
    assert!(after.contains("([figure-lost])"));
}

#[test]
fn a_long_silence_is_drawn_with_its_length() {
    let mut sequence = Sequence::new();
    let (a, b) = (sequence.host("a", None), sequence.host("b", None));
    sequence.message(0, a, b, "`x`", None);
    sequence.message(1_000, a, b, "`y`", None);
    sequence.message(1_003_000, a, b, "`z`", None);
    let html = drawn(&sequence.into());
    assert_eq!(html.matches("class=\"silence\"").count(), 1);
    assert!(html.contains(">1,002.0\u{a0}ms</text>"), "{html}");
}

#[test]
fn every_byte_names_its_fields_and_every_field_has_its_bytes() {
    let samples = samples();
    let Figure::Wire(wire) = &samples.figures["wire"] else {
        panic!("a wire");
    };
    let html = drawn(&samples.figures["wire"]);
    let bytes: Vec<&str> = html.split("class=\"byte\" data-field=\"").skip(1).collect();
    assert_eq!(bytes.len(), wire.bytes.len());
    // Version and IHL share the first byte, inside the header.
    assert!(bytes[0].starts_with("0 1 2\">45"), "{}", bytes[0]);
    assert!(bytes[1].starts_with("0 3 4\">00"), "{}", bytes[1]);
    let fields = html.matches("class=\"field c").count();
    for field in 0..fields {
        let field = field.to_string();
        assert!(
            bytes.iter().any(|byte| byte
                .split('"')
                .next()
                .unwrap()
                .split(' ')
                .any(|name| name == field)),
            "field {field}"
        );
    }
}

#[test]
fn bits_of_a_field_inside_a_byte_are_shown_between_dots() {
    let wire = Wire {
        bytes: vec![0x45],
        fields: vec![Field::bits("`Version`", 0, 4), Field::bits("`IHL`", 4, 4)],
    };
    let html = drawn(&wire.into());
    assert!(
        html.contains(">0100 ····</code>") && html.contains(">···· 0101</code>"),
        "{html}"
    );
}

#[test]
fn a_long_field_loses_its_middle_and_says_how_much() {
    let wire = Wire {
        bytes: vec![7; 1_500],
        fields: vec![
            Field::bytes("`head`", 0, 20),
            Field::bytes("`body`", 20, 1_480),
        ],
    };
    let figure = Figure::from(wire);
    assert_eq!(problems(&figure), Vec::<String>::new());
    let html = drawn(&figure);
    assert_eq!(html.matches("class=\"byte\"").count(), 60);
    assert!(html.contains(">⋯ 1,440 B<"), "{html}");
    assert!(html.contains(">05d0<"), "the last row's offset");
}

#[test]
fn numbers_in_tables_are_grouped_and_words_are_not() {
    let table = Table::new([Column::words("port"), Column::number("bytes", "")])
        .row(["`40112`".into(), "1048576".into()]);
    let html = drawn(&table.into());
    assert!(
        html.contains("<code>40112</code>") && html.contains(">1,048,576</td>"),
        "{html}"
    );
}

#[test]
fn a_table_that_cannot_overflow_is_no_stop_for_the_keyboard() {
    let narrow =
        Table::new([Column::words("a"), Column::number("b", "")]).row(["x".into(), "1".into()]);
    assert!(!drawn(&narrow.into()).contains("tabindex"));
    let wide = Table::new((0..6).map(|_| Column::number("a column", "")))
        .row((0..6).map(|_| "1000000".to_owned()));
    assert!(drawn(&wide.into()).contains("<section class=\"figure-scroll\" tabindex=\"0\""));
}

#[test]
fn the_scale_is_logarithmic_only_where_the_points_were_chosen_so() {
    let line = |xs: &[f64]| {
        Figure::from(Series {
            x: Axis::new("size", "bytes"),
            y: Axis::new("time", "ms"),
            lines: vec![Line {
                name: "`a`".into(),
                points: xs.iter().map(|x| (*x, 1.0)).collect(),
            }],
        })
    };
    let word = "[figure-logarithmic]";
    assert!(drawn(&line(&[1.0, 10.0, 100.0, 1_000.0])).contains(word));
    assert!(!drawn(&line(&[0.0, 10.0, 100.0, 1_000.0])).contains(word));
    assert!(!drawn(&line(&[1.0, 2.0, 3.0, 4.0, 5.0])).contains(word));
}

#[test]
fn problems_name_what_cannot_be_drawn_faithfully() {
    let says = |figure: Figure, part: &str| {
        let problems = problems(&figure);
        assert!(
            problems.iter().any(|problem| problem.contains(part)),
            "{part}: {problems:?}"
        );
        read_back(&drawn(&figure));
    };
    let mut sequence = Sequence::new();
    says(sequence.clone().into(), "no hosts");
    let host = sequence.host("a", None);
    says(sequence.clone().into(), "no events");
    sequence.message(5, host, 7, "`x`", None);
    says(sequence.clone().into(), "event 0 names host 7; there are 1");
    sequence.state(4, host, "`x", None);
    says(
        sequence.clone().into(),
        "event 1 is at 4 µs, before its predecessor at 5 µs",
    );
    says(sequence.clone().into(), "a backtick has no partner");
    sequence.events.push(Event {
        at_us: 9,
        what: What::Message {
            from: 0,
            to: 0,
            label: "`x`".into(),
            note: None,
            arrived_us: Some(8),
            fate: Fate::Lost,
        },
    });
    says(sequence.clone().into(), "event 2 arrives before it leaves");
    says(sequence.into(), "event 2 is lost and yet arrives");

    let wire = |bytes: usize, fields: Vec<Field>| {
        Figure::from(Wire {
            bytes: vec![0; bytes],
            fields,
        })
    };
    says(wire(0, vec![]), "no bytes");
    says(
        wire(2, vec![Field::bytes("a", 0, 1)]),
        "bits 8 to 15 belong to no field",
    );
    says(
        wire(2, vec![Field::bytes("a", 1, 1)]),
        "bits 0 to 7 belong to no field",
    );
    says(
        wire(2, vec![Field::bytes("a", 0, 2), Field::bytes("b", 1, 1)]),
        "field \"b\" starts at bit 8; the message is taken up to bit 16",
    );
    says(
        wire(1, vec![Field::bits("a", 0, usize::MAX)]),
        "the message ends at bit 8",
    );
    says(
        wire(
            2,
            vec![
                Field::bytes("a", 0, 1).fields([Field::bits("b", 4, 8)]),
                Field::bytes("c", 1, 1),
            ],
        ),
        "field \"b\" ends at bit 12; field \"a\" ends at bit 8",
    );
    says(
        wire(1, vec![Field::bits("a", 8, 0)]),
        "field \"a\" has no bits",
    );

    let series = |points: Vec<(f64, f64)>| {
        Figure::from(Series {
            x: Axis::new("x", ""),
            y: Axis::new("y", ""),
            lines: vec![Line {
                name: "a".into(),
                points,
            }],
        })
    };
    says(series(vec![]), "no points");
    says(
        series(vec![(f64::NAN, 1.0)]),
        "point 0 of line \"a\" is no number",
    );
    says(
        series(vec![(1.0, 1.0), (1.0, 2.0)]),
        "point 1 of line \"a\" is not right of",
    );

    let table = Table {
        columns: vec![Column::words("a")],
        rows: vec![vec![], vec!["x".into(), "y".into()]],
    };
    says(
        table.clone().into(),
        "row 0 has 0 cells; there are 1 columns",
    );
    says(table.into(), "row 1 has 2 cells");
    says(Table::new([]).into(), "no columns");
}

#[test]
fn huge_records_are_reported_and_drawn_within_bounds() {
    let mut sequence = Sequence::new();
    let hosts: Vec<usize> = (0..100).map(|_| sequence.host("host", None)).collect();
    for at_us in 0..10_000 {
        sequence.message(at_us, hosts[0], hosts[1], "`x`", Some("a note"));
    }
    let mut deep = Field::bytes("leaf", 0, 1);
    for _ in 0..100 {
        deep = Field::bytes("inner", 0, 1).fields([deep]);
    }
    let mut wire_fields: Vec<Field> = (0..20_000).map(|at| Field::bytes("byte", at, 1)).collect();
    wire_fields[0] = deep;
    let line = Line {
        name: "line".into(),
        points: (0..20_000)
            .map(|x| (f64::from(x), f64::from(x % 7)))
            .collect(),
    };
    let figures: [Figure; 4] = [
        sequence.into(),
        Wire {
            bytes: vec![0; 20_000],
            fields: wire_fields,
        }
        .into(),
        Series {
            x: Axis::new("x", ""),
            y: Axis::new("y", ""),
            lines: vec![line; 50],
        }
        .into(),
        Table {
            columns: vec![Column::words("a"); 100],
            rows: vec![vec!["x".into(); 100]; 5_000],
        }
        .into(),
    ];
    for figure in &figures {
        assert!(!problems(figure).is_empty());
        let html = drawn(figure);
        read_back(&html);
        assert!(html.len() < 700_000, "{} bytes", html.len());
    }
}

#[test]
fn every_line_of_a_series_is_named_beside_the_plot_however_long_its_name() {
    let names = [
        "`TCP`: short",
        "`UDP`: a name that is a good deal longer than the plot is wide, in any language at all",
    ];
    let figure = Figure::Series(Series {
        x: Axis::new("sends", ""),
        y: Axis::new("in all", "bytes"),
        // Two flat lines at the very bottom leave no room for a name on them.
        lines: (0_u8..)
            .zip(names)
            .map(|(at, name)| Line {
                name: name.to_owned(),
                points: vec![(0.0, f64::from(at)), (200.0, f64::from(at))],
            })
            .chain([Line {
                name: "high".to_owned(),
                points: vec![(0.0, 0.0), (200.0, 200_000.0)],
            }])
            .collect(),
    });
    let html = drawn(&figure);
    let key = html.split("<ul class=\"key\">").nth(1).expect("a key");
    let (key, plot) = key.split_once("</ul>").expect("it ends");
    assert_eq!(key.matches("<li>").count(), 3, "{key}");
    let (text, _) = read_back(&format!("<ul>{key}</ul>"));
    for name in names {
        assert!(text.contains(&name.replace('`', "")), "{name}: {text}");
    }
    assert!(
        !plot.contains("line-name"),
        "no name stands among the lines"
    );
}

/// The numbers in a path: `M` start `Q` control end, two of each.
fn numbers(path: &str) -> Vec<f64> {
    path.split(|c: char| !c.is_ascii_digit() && c != '.' && c != '-')
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap())
        .collect()
}

#[test]
fn each_step_of_a_walk_is_lit_once_and_told_in_the_list_and_in_the_data() {
    let samples = samples();
    let Figure::States(states) = &samples.figures["states"] else {
        panic!("states");
    };
    let html = drawn(&samples.figures["states"]);
    let (body, data) = html.split_once("<details").unwrap();
    let (drawing, list) = body.split_once("</svg>").unwrap();
    let steps: usize = states.walks.iter().map(|walk| walk.steps.len()).sum();
    assert_eq!(drawing.matches("class=\"taken\"").count(), steps);
    for step in 0..steps {
        let step = format!("data-step=\"{step}\"");
        for part in [drawing, list, data] {
            assert_eq!(part.matches(&step).count(), 1, "{step} in {part}");
        }
    }
    // What was not taken stands in the data all the same.
    let rows = data.matches("<tr").count() - 1;
    assert_eq!(rows, states.transitions.len(), "each of them once");
    assert_eq!(
        data.matches("[figure-nobody]").count(),
        states.transitions.len() - steps
    );
    // In the order of time, whoever took the step.
    let times: Vec<&str> = list.split("class=\"time\">").skip(1).collect();
    let first = |at: usize| times[at].split('<').next().unwrap();
    assert_eq!(
        [first(0), first(1), first(2)],
        ["0.0\u{a0}ms", "0.3\u{a0}ms", "25.4\u{a0}ms"]
    );
}

#[test]
fn a_way_and_its_opposite_lie_side_by_side() {
    let mut states = States::new();
    states.state("`a`", 0.0, 0.0);
    states.state("`b`", 0.0, 2.0);
    states.transition(0, 1, "`x`");
    states.transition(1, 0, "`y`");
    let html = drawn(&states.into());
    let ways: Vec<Vec<f64>> = html
        .split("class=\"allowed\" d=\"")
        .skip(1)
        .map(|way| numbers(way.split('"').next().unwrap()))
        .collect();
    assert_eq!(ways.len(), 2);
    let (down, up) = (&ways[0], &ways[1]);
    assert!((down[0] - up[0]).abs() > 10.0, "{ways:?}");
    assert!(down[1] < down[5] && up[1] > up[5], "{ways:?}");
}

#[test]
fn no_arrow_of_states_begins_or_ends_inside_a_box_or_outside_the_drawing() {
    let html = drawn(&samples().figures["states"]);
    let width: f64 = html
        .split("--least:")
        .nth(1)
        .unwrap()
        .split("px")
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let boxes: Vec<[f64; 4]> = html
        .split("<rect ")
        .skip(1)
        .map(|rect| {
            ["x", "y", "width", "height"]
                .map(|name| values(&format!(" {rect}"), name)[0].parse().unwrap())
        })
        .collect();
    let ends = html
        .split(" d=\"M")
        .skip(1)
        .map(|way| numbers(way.split('"').next().unwrap()));
    let mut arrows = 0;
    for way in ends.filter(|way| way.len() == 6) {
        arrows += 1;
        for (x, y) in [(way[0], way[1]), (way[4], way[5])] {
            assert!((0.0..=width).contains(&x), "{way:?}");
            for [left, top, width, height] in &boxes {
                let inside = x > *left && x < left + width && y > *top && y < top + height;
                assert!(!inside, "{way:?} in the box at {left}, {top}");
            }
        }
    }
    assert!(arrows > 5, "{arrows}");
}

#[test]
fn a_walk_that_jumps_is_a_problem() {
    let mut states = States::new();
    states.state("`a`", 0.0, 0.0);
    states.state("`b`", 1.0, 0.0);
    states.state("`c`", 9.0, 0.0);
    states.transition(0, 1, "`x`");
    states.transition(2, 2, "`y`");
    states.transition(0, 3, "`z`");
    let step = |at_us, transition| Step { at_us, transition };
    states.walk("client", [step(5, 0), step(4, 0), step(6, 7)]);
    states.walk("server", []);
    assert_eq!(
        problems(&states.into()),
        [
            "state 2 stands at column 9, row 0; there are 5 and 12",
            "transition 1 leads nowhere",
            "transition 2 names state 3; there are 3",
            "step 1 of walk 0 is earlier than the one before",
            "step 1 of walk 0 begins where the one before has not ended",
            "step 2 of walk 0 takes transition 7; there are 3",
            "walk 1 has 0 steps; a page shows 1 to 40",
        ]
    );
}
