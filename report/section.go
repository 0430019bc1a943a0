package report

// Details is a section that is folded until it is opened.
type Details struct {
	Summary string
	Open    bool // from the start
	Blocks  []Block
}

func (d Details) writeHTML(w *writer) {
	open := ""
	if d.Open {
		open = " open"
	}
	w.printf("<details class=\"section\"%s><summary>%s</summary>\n", open, esc(d.Summary))
	for _, bl := range d.Blocks {
		bl.writeHTML(w)
	}
	w.WriteString("</details>\n")
}

// Columns are blocks side by side where the screen is wide enough for two.
type Columns []Block

func (c Columns) writeHTML(w *writer) {
	before := w.narrow
	w.narrow = true
	w.WriteString("<div class=\"columns\">\n")
	for _, bl := range c {
		w.WriteString("<div>")
		bl.writeHTML(w)
		w.WriteString("</div>\n")
	}
	w.WriteString("</div>\n")
	w.narrow = before
}

// Verdict is a conclusion, with what speaks for it and what against.
type Verdict struct {
	Label    string
	Evidence []string
	Against  []string
}

func (v Verdict) writeHTML(w *writer) {
	w.printf("<section class=\"verdict\"><p class=\"label\">%s</p>\n<div class=\"columns\">", esc(v.Label))
	list := func(title, none string, items []string) {
		w.printf("<div><h3>%s</h3>", title)
		if len(items) == 0 {
			w.printf("<p>%s</p>", none)
		} else {
			w.items(items)
		}
		w.WriteString("</div>")
	}
	list("Evidence", "None.", v.Evidence)
	list("Against", "Nothing that was measured.", v.Against)
	w.WriteString("</div></section>\n")
}

// Note is something to know before reading on; a Warning is a problem of the input.
type Note struct {
	Label   string
	Text    string
	Items   []string
	Warning bool
}

func (n Note) writeHTML(w *writer) {
	class := "note"
	if n.Warning {
		class = "note warning"
	}
	w.printf("<section class=\"%s\">", class)
	if n.Label != "" {
		w.printf("<p class=\"label\">%s</p>", esc(n.Label))
	}
	if n.Text != "" {
		w.printf("<p>%s</p>", esc(n.Text))
	}
	if len(n.Items) > 0 {
		w.items(n.Items)
	}
	w.WriteString("</section>\n")
}

func (w *writer) items(items []string) {
	w.WriteString("<ul>")
	for _, it := range items {
		w.printf("<li>%s</li>", esc(it))
	}
	w.WriteString("</ul>\n")
}
