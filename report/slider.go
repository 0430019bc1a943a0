package report

// Slider shows one of several frames, such as the checkpoints of a run, chosen
// with a slider. Without script, and on paper, the frames follow each other.
type Slider struct {
	Label  string // what the frames differ in: "step"
	Frames []Frame
}

// Frame is one position of a slider.
type Frame struct {
	Name   string
	Blocks []Block
}

func (s Slider) writeHTML(w *writer) {
	if len(s.Frames) > 1 {
		w.scripted = true
	}
	w.printf(`<div class="slider"><div class="control" hidden><label>%s <input type="range" min="0" max="%d" value="0"></label> <output></output></div>`+"\n",
		esc(s.Label), max(0, len(s.Frames)-1))
	for _, f := range s.Frames {
		w.printf("<section class=\"frame\"><h3>%s</h3>\n", esc(f.Name))
		for _, bl := range f.Blocks {
			bl.writeHTML(w)
		}
		w.WriteString("</section>\n")
	}
	w.WriteString("</div>\n")
}
