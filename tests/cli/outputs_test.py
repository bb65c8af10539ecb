"""Where results go: missing folders, full disks, devices, pipes that nobody reads."""
import os
import resource
import signal
import stat
import subprocess
import unittest

import command

SMALL_DISK = 40 * 1024


class Outputs(command.Case):
    def capture(self, output, *options):
        return ("capture", "-q", "-m", self.llama, "-t", 1, "--hook", "resid_post.1", "--text", "the bridge", "-o", output, *options)

    def test_places_that_cannot_be_written(self):
        (self.folder / "folder").mkdir()
        self.write("file", "content")
        corpus = self.corpus()
        for output, part in (("missing/rows", "No such file"), ("folder", "is a folder"), ("file/rows", "Not a directory"),
                             ("/proc/rows", "/proc/rows")):
            self.bad(command.INPUT, [output, part], *self.capture(output))
            self.bad(command.INPUT, [output, part], *self.train(output, corpus=corpus))
        self.bad(command.INPUT, "missing/metrics", *self.train(corpus=corpus, metrics="missing/metrics"))
        self.bad(command.INPUT, "/proc/checkpoint", *self.train(corpus=corpus, checkpoint="/proc/checkpoint"))
        self.bad(command.INPUT, "missing", "man", "missing")

    def test_old_output_stays_until_the_new_one_is_whole(self):
        self.write("rows", "old")
        self.bad(command.INPUT, "UTF-8", *self.capture("rows"), "--text", b"\xff")
        self.good(*self.capture("rows"))
        self.assertNotEqual(b"old", (self.folder / "rows").read_bytes())
        self.assertEqual({"rows"}, set(self.tree()))

    def test_links_and_pipes_stay(self):
        (self.folder / "link").symlink_to(self.write("target", "old"))
        self.good(*self.capture("link"))
        self.assertTrue((self.folder / "link").is_symlink())
        content = (self.folder / "target").read_bytes()
        self.assertIn(b"blocks.1.hook_resid_post", content)
        os.mkfifo(self.folder / "pipe")
        reader = subprocess.Popen(["cat", self.folder / "pipe"], stdout=subprocess.PIPE)
        self.good(*self.capture("pipe"))
        self.assertEqual(content, reader.communicate(timeout=command.PATIENCE)[0])
        self.assertTrue((self.folder / "pipe").is_fifo())

    def full_device(self):
        """A device that is always full; a copy of it where this process could replace the real one."""
        if os.getuid() != 0:
            return "/dev/full"
        path = self.folder / "full"
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.stat("/dev/full").st_rdev)
            path.open("w").close()
        except OSError as error:
            raise unittest.SkipTest(f"no device can be made here: {error}")
        return path

    def test_full_standard_output(self):
        device = self.full_device()
        for arguments in (("hooks", "-m", self.llama), ("hooks", "-m", self.llama, "--json"), ("--help",), ("--version",),
                          ("run", "--help"), ("run", "-m", self.llama, "-t", 1, "-n", 3, "-p", "x"),
                          ("run", "-m", self.llama, "-t", 1, "-n", 3, "-p", "x", "--json"), ("completion", "bash")):
            with open(device, "wb") as out:
                result = self.fathom(*arguments, stdout=out)
            self.assert_refused(result, command.LIMIT, "standard output", arguments)

    def test_full_device(self):
        device = self.full_device()
        result = self.fathom(*self.capture(device))
        self.assert_refused(result, command.LIMIT, ["full", "No space left"])
        self.assertTrue(device == "/dev/full" or device.is_char_device())
        result = self.fathom(*self.train(metrics=device))
        self.assert_refused(result, command.LIMIT, ["full", "No space left"])
        self.assertFalse((self.folder / "new.gguf").exists())

    @unittest.skipUnless(os.getuid() == 0, "mounting a small disk needs root")
    def test_full_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "none", disk], capture_output=True)
        if mount.returncode != 0:
            self.skipTest(f"no disk can be mounted here: {mount.stderr}")
        try:
            text = "the bridge over the river " * 60
            corpus = self.corpus()
            for arguments in (("capture", "-q", "-m", self.llama, "-t", 1, "--hook", "resid_post.1", "--text", text, "-o", disk / "rows"),
                              self.train(disk / "dictionary", corpus=corpus, features=512, dtype="f32")):
                self.bad(command.LIMIT, ["disk/", "No space left"], *arguments)
            self.assert_refused(self.fathom("man", disk), command.LIMIT, ["disk/", "No space left"])
            self.assertTrue(all(page.read_text().endswith(".BR fathom (1)\n") for page in disk.glob("fathom-*")))
            self.assertEqual([], [name for name in os.listdir(disk) if ".part" in name])
        finally:
            subprocess.run(["umount", disk], check=True)

    def test_files_that_may_grow_no_further(self):
        """A limit on the size of files stands for a full disk where none can be mounted."""
        small = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))}
        corpus = self.corpus()
        for arguments in (self.capture("rows", "--text", "the bridge over the river " * 20), self.train("dictionary", corpus=corpus),
                          ("import", "folder", "-o", "dictionary"), ("export", self.toy, "-o", "exported"),
                          ("index", "-q", self.toy, "-m", self.llama, "--corpus", corpus, "--catalogue", "catalogue"),
                          ("features", "-m", self.llama, "--dict", self.toy, "--corpus", corpus, "--matrix", "matrix")):
            if arguments[0] == "import":
                self.good("export", self.toy, "-o", "folder")
            self.bad(command.LIMIT, "cannot ", *arguments, **small)

    def test_pipe_that_nobody_reads(self):
        long = ("run", "-m", self.llama, "-t", 1, "-p", "the", "-n", 10**6, "--context", 10**5)
        for arguments in (long, (*long, "--logprobs"), ("hooks", "-m", self.llama), ("hooks", "-m", self.llama, "--json"),
                          ("--help",), ("completion", "bash")):
            reader, writer = os.pipe()
            os.close(reader)
            process = self.popen(*arguments, stdout=writer)
            os.close(writer)
            result = self.finish(process)
            self.assertIn(result.status, (command.PIPE, -signal.SIGPIPE), f"{arguments}: {result.err}")
            self.assertEqual("", result.err, arguments)


if __name__ == "__main__":
    command.main()
