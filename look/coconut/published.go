package coconut

import "orrery/learn/latent"

// figure is a published accuracy in per cent and its tokens.
type figure struct{ accuracy, tokens string }

// row is a row of the published table (arXiv 2412.06769, table 1), which is of a
// pre-trained GPT-2; ± is over its runs.
type row struct {
	name                    string
	gsm8k, prontoqa, prosqa figure
}

var published = map[latent.Method]row{
	latent.CoT:            {"CoT", figure{"42.9±0.2", "25.0"}, figure{"98.8±0.8", "92.5"}, figure{"77.5±1.9", "49.4"}},
	latent.NoCoT:          {"No-CoT", figure{"16.5±0.5", "2.2"}, figure{"93.8±0.7", "3.0"}, figure{"76.7±1.0", "8.2"}},
	latent.ICoT:           {"iCoT", figure{"30.0", "2.2"}, figure{"99.8±0.3", "3.0"}, figure{"98.2±0.3", "8.2"}},
	latent.Pause:          {"pause token, no curriculum", figure{"16.4±1.8", "2.2"}, figure{"77.7±21.0", "3.0"}, figure{"75.9±0.7", "8.2"}},
	latent.Coconut:        {"Coconut", figure{"34.1±1.5", "8.2"}, figure{"99.8±0.2", "9.0"}, figure{"97.0±0.3", "14.2"}},
	latent.NoCurriculum:   {"w/o curriculum", figure{"14.4±0.8", "8.2"}, figure{"52.4±0.4", "9.0"}, figure{"76.1±0.2", "14.2"}},
	latent.NoThought:      {"w/o thought", figure{"21.6±0.5", "2.3"}, figure{"99.9±0.1", "3.0"}, figure{"95.5±1.1", "8.2"}},
	latent.PauseAsThought: {"pause as thought", figure{"24.1±0.7", "2.2"}, figure{"100±0.1", "3.0"}, figure{"96.6±0.8", "8.2"}},
}

// reproduced are figures of others' reproductions on ProsQA, by the control's
// name: zero latents, michaelrizvi/coconut; pauses one pass each,
// bmarti44/research-pipeline (there: CoT 83.0, Coconut 97.0, pauses in one pass 96.6).
var reproduced = map[string]string{string(ZeroLatent): "96.6", multipass: "94.8"}

// multipass is the row of pauses that go through the net one pass each. That is the
// same function as all in one pass, to the bit (package latent tests it), so the row
// repeats the figures of "pause as thought".
const multipass = "pause multipass"
