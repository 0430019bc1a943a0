package task

import (
	"fmt"
	"regexp"
	"strings"
)

// query is the last sentence of a question.
type query struct {
	name  string
	kinds [2]string
}

func (q query) String() string {
	return "Is " + q.name + " a " + q.kinds[0] + " or " + q.kinds[1] + "?"
}

// queryForm also matches "a x or a y" of derived files.
var queryForm = regexp.MustCompile(`Is (\w+) an? (\w+) or (?:an? )?(\w+)\?$`)

// findQuery reads the query at the end of a question.
func findQuery(question string) (q query, ok bool) {
	m := queryForm.FindStringSubmatch(question)
	if m == nil {
		return q, false
	}
	return query{m[1], [2]string{m[2], m[3]}}, true
}

// fact is the sentence "Every from is a to." or, about a person, "from is a to."
type fact struct {
	from, to string
	person   bool
}

// readFact reads one sentence, with or without its full stop.
func readFact(sentence string) (f fact, ok bool) {
	words := strings.Fields(strings.TrimSuffix(sentence, "."))
	f.person = true
	if len(words) == 5 && words[0] == "Every" {
		f.person, words = false, words[1:]
	}
	if len(words) != 4 || words[1] != "is" || words[2] != "a" && words[2] != "an" {
		return f, false
	}
	f.from, f.to = words[0], words[3]
	return f, true
}

// readQuestion splits a question into its facts and its query. The error names
// the first sentence that is neither.
func readQuestion(question string) (facts []fact, q query, err error) {
	q, ok := findQuery(question)
	if !ok {
		return nil, q, fmt.Errorf("the text doesn't end in %q", `Is N a x or y?`)
	}
	at := queryForm.FindStringIndex(question)[0]
	for s := range strings.SplitAfterSeq(question[:at], ".") {
		if strings.TrimSpace(s) == "" {
			continue
		}
		f, ok := readFact(s)
		if !ok {
			return nil, q, fmt.Errorf("sentence %d, %q, isn't of the form %q or %q",
				len(facts)+1, strings.TrimSpace(s), "Every c is a d.", "N is a c.")
		}
		facts = append(facts, f)
	}
	return facts, q, nil
}

// candidate finds which of the query's kinds an answer names: "x", "a x" or
// "N is a x.", where N must be the person asked about.
func (q query) candidate(answer string) (kind string, ok bool) {
	f, isSentence := readFact(answer)
	if isSentence {
		if !f.person || !sameAnswer(q.name, f.from) {
			return "", false
		}
		answer = f.to
	}
	answer = strings.TrimSuffix(strings.TrimSpace(answer), ".")
	for _, article := range []string{"a ", "an "} {
		answer = strings.TrimPrefix(answer, article)
	}
	for _, k := range q.kinds {
		if sameAnswer(k, answer) {
			return k, true
		}
	}
	return "", false
}
