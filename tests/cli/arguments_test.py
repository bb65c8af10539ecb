"""Wrong commands, options and values: status 2 and one line that names what is wrong."""
import re

import command


class Arguments(command.Case):
    def usage(self, parts, *arguments):
        result = self.bad(command.USAGE, parts, *arguments)
        self.assertEqual("", result.out)
        self.assertIn("--help", result.err)

    def commands(self):
        listed = self.good("--help").out.split("Commands:\n")[1].split("\n\n")[0]
        return [re.split(r"  +", line.strip())[0] for line in listed.splitlines()]

    def test_commands(self):
        self.usage('no command "nonsense"', "nonsense")
        self.usage('did you mean "run"?', "runn")
        self.usage('no command "--bogus"', "--bogus")
        self.usage("generate, harvest, train", "bench")
        self.usage("generate, harvest, train", "bench", "nonsense")
        self.usage('no command "nonsense"', "help", "nonsense")
        nothing = self.fathom()
        self.assertEqual((command.USAGE, ""), (nothing.status, nothing.out))
        self.assertIn("Commands:", nothing.err)

    def test_help_of_every_command(self):
        commands = self.commands()
        self.assertIn("run", commands)
        for name in commands:
            for arguments in ((*name.split(), "--help"), ("help", *name.split()), (*name.split(), "-h")):
                result = self.good(*arguments)
                self.assertTrue(result.out.startswith(f"fathom {name}: "), arguments)
                self.assertIn("--quiet", result.out)
                self.assertIn("--no-gpu", result.out)
            self.usage("there is no option --no-such-option", *name.split(), "--no-such-option")
        self.good("run", "--help", "--bogus")
        self.good("run", "-p", "x", "--help")
        self.assertRegex(self.good("--version").out, r"^fathom \d+\.\d+\.\d+\n$")

    def test_options(self):
        self.usage("--prompt TEXT is missing", "run", "-m", self.llama)
        self.usage("TEXT is expected after it", "run", "--prompt")
        self.usage("TEXT is expected after it", "run", "-p")
        self.usage(["TEXT is expected after it", "--json"], "run", "--prompt", "--json")
        self.usage("did you mean --prompt?", "run", "--promp", "x")
        self.usage("did you mean --hook?", "capture", "-hook", "x")
        self.usage("--max-tokens is given twice", "run", "-p", "x", "-n", 1, "--max-tokens", 2)
        self.usage("--json takes no value", "run", "-p", "x", "--json=yes")
        self.usage('"extra" is one argument too many', "run", "-p", "x", "extra")
        self.usage('"--json" is one argument too many', "run", "-p", "x", "--", "--json")
        self.usage("SHELL is missing", "completion")
        self.usage('not "tcsh"', "completion", "tcsh")
        self.usage("--model: MODEL is expected", "run", "--model=", "-p", "x")
        self.usage("--output: FILE is expected", "capture", "--hook", "embed", "--text", "x", "-o", "")

    def test_numbers(self):
        for value in ("abc", "", "1.5", "0x10", "99999999999999999999", "1e3", "1 2"):
            self.usage(["--max-tokens", "an integer is expected"], "run", "-p", "x", "-n", value)
        for value in ("-1", "2147483648", "-9223372036854775808"):
            self.usage(["--max-tokens", value, "lies outside"], "run", "-p", "x", "-n", value)
        for value in ("abc", "nan", "inf", "-inf", "1e999", ""):
            self.usage(["--temperature", "a number is expected"], "run", "-p", "x", "--temperature", value)
        for option, value in (("--top-p", 2), ("--min-p", -0.1), ("--temperature", -1), ("--threads", 0), ("--seed", -1)):
            self.usage([option, "lies outside"], "run", "-p", "x", option, value)
        self.usage(["--arch", "topk|batchtopk|", "jumprelu"], "train", "--arch", "dense")
        for value in ("0", "x", "1e9", "-4", ""):
            self.bad(command.USAGE, "features" if value else "", "train", "-m", self.llama, "--hook", "embed", "--features", value,
                     "--corpus", "c.jsonl", "-o", "d.gguf")

    def test_values_that_look_like_something_else(self):
        run = ("run", "-m", self.llama, "-n", 0, "-t", 1, "--json")
        for arguments, prompt in ((("--prompt=--json",), "--json"), (("-p", "-"), "-"), (("-p", "--"), "--"),
                                  (("-p", "-5"), "-5"), (("--prompt=a=b",), "a=b"), (("-pab",), "ab")):
            self.assertIn(f'"prompt": "{prompt}"', self.good(*run, *arguments).out)

    def test_hook_names(self):
        capture = ("capture", "-m", self.llama, "-t", 1, "--text", "x", "-o", "x.safetensors")
        self.bad(command.INPUT, ['"resid_psot.1"', "resid_post"], *capture, "--hook", "resid_psot.1")
        self.bad(command.INPUT, ['"blocks.1.hook_resid_pots"', "resid_post"], *capture, "--hook", "blocks.1.hook_resid_pots")
        self.bad(command.INPUT, ["no hook point", "nearest"], *capture, "--hook", "a\nb\x1b[31m")
        self.bad(command.INPUT, ["no hook point", "nearest"], *capture, "--hook", "")
        self.bad(command.USAGE, ["resid_post.9", "0 to 3"], *capture, "--hook", "resid_post.9")
        self.bad(command.USAGE, ["resid_post.-5", "0 to 3"], *capture, "--hook", "resid_post.-5")
        self.bad(command.USAGE, ["resid_post", "layer"], *capture, "--hook", "resid_post")
        self.bad(command.USAGE, "twice", *capture, "--hook", "resid_post.1,blocks.1.hook_resid_post")
        self.bad(command.USAGE, "embed.1", *capture, "--hook", "embed.1")

    def test_context_overrun(self):
        long = "the bridge " * 400
        self.bad(command.LIMIT, "context", "run", "-m", self.llama, "-t", 1, "-p", long, "--context", 64, "-n", 5)
        self.bad(command.LIMIT, "context", "chat", "-m", self.llama, "-t", 1, "-p", long, "--context", 64, "-n", 5)
        stopped = self.fathom("run", "-m", self.llama, "-t", 1, "-p", "the", "--context", 64, "-n", 600, "--temperature", 0, "--json")
        self.assert_refused(stopped, command.LIMIT, "context")
        self.bad(command.LIMIT, "memory", "run", "-m", self.llama, "-t", 1, "-p", "x", "--context", 2**30 - 1)

    def test_texts_that_are_not_utf8(self):
        for arguments in (("run", "-p", b"a\xff"), ("chat", "-p", b"a\xff"), ("capture", "--hook", "embed", "-o", "x", "--text", b"a\xff")):
            self.bad(command.INPUT, ["byte 1", "UTF-8"], *arguments, "-m", self.llama, "-t", 1)


if __name__ == "__main__":
    command.main()
