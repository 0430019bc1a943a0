package task

import "io"

// ReadFile reads a JSON list of items with question, answer and steps, as published
// with arXiv 2412.06769. Answers must be True or False. Where the sentences are
// of the known wordings, they get their *Ontology as Data, and the answer must be what follows from
// them; sentences that decide nothing make an item that isn't answerable.
//
// Errors are *FieldError; nothing is returned beside one.
func (ProntoQA) ReadFile(r io.Reader) ([]Problem, error) {
	return readList(r, ProntoQA{}.Name(), readProntoQA)
}

func readProntoQA(f fields) (p Problem, bad *FieldError) {
	if p, bad = f.problem(); bad != nil {
		return p, bad
	}
	answers := map[bool]string{true: "True", false: "False"}
	if p.Answer != answers[true] && p.Answer != answers[false] {
		return p, fieldf("answer", "is %q; it must be True or False", p.Answer)
	}
	o := ontologyOfText(p.Question)
	if o == nil {
		return p, nil
	}
	if _, holds := o.Hops(); o.Answerable() && answers[holds] != p.Answer {
		return p, fieldf("answer", "is %s, but from the sentences follows %s", p.Answer, answers[holds])
	}
	p.Data = o
	return p, nil
}
