"""Reading and changing a transformers model at Fathom's hook points.

`Points` wraps a model so that one forward pass gives every point (`read`), the points that are easily taken for another one (`mistaken`), and the
logits after fixed values were added at one point (`edit`). The definitions are those of include/fathom/hook.h.
"""

import sys

import torch

MASKED = -1e30  # transformers masks with the smallest float, Fathom with minus infinity

# Where each architecture keeps its parts: paths in the model, {} being the layer.
LLAMA_LIKE = dict(
    embed="model.embed_tokens",
    layer="model.layers.{}",
    attn_norm="model.layers.{}.input_layernorm",
    out="model.layers.{}.self_attn.o_proj",
    mlp_norm="model.layers.{}.post_attention_layernorm",
    mlp="model.layers.{}.mlp",
    pre="model.layers.{}.mlp.gate_proj",
    up="model.layers.{}.mlp.up_proj",
    down="model.layers.{}.mlp.down_proj",
    final="model.norm",
    head="lm_head",
    q="model.layers.{}.self_attn.q_proj",
    k="model.layers.{}.self_attn.k_proj",
    act="model.layers.{}.mlp.act_fn",
)
QK_NORM = dict(q_norm="model.layers.{}.self_attn.q_norm", k_norm="model.layers.{}.self_attn.k_norm")
GEMMA_LIKE = dict(
    LLAMA_LIKE,
    mlp_norm="model.layers.{}.pre_feedforward_layernorm",
    attn_post="model.layers.{}.post_attention_layernorm",
    mlp_post="model.layers.{}.post_feedforward_layernorm",
)
NEOX = dict(
    embed="gpt_neox.embed_in",
    layer="gpt_neox.layers.{}",
    attn_norm="gpt_neox.layers.{}.input_layernorm",
    out="gpt_neox.layers.{}.attention.dense",
    mlp_norm="gpt_neox.layers.{}.post_attention_layernorm",
    mlp="gpt_neox.layers.{}.mlp",
    pre="gpt_neox.layers.{}.mlp.dense_h_to_4h",
    down="gpt_neox.layers.{}.mlp.dense_4h_to_h",
    final="gpt_neox.final_layer_norm",
    head="embed_out",
)
PATHS = {
    "llama": LLAMA_LIKE,
    "qwen2": LLAMA_LIKE,
    "qwen3": dict(LLAMA_LIKE, **QK_NORM),
    "gemma2": GEMMA_LIKE,
    "gemma3": dict(GEMMA_LIKE, **QK_NORM),
    "gpt2": dict(
        embed="transformer.wte",
        layer="transformer.h.{}",
        attn_norm="transformer.h.{}.ln_1",
        out="transformer.h.{}.attn.c_proj",
        mlp_norm="transformer.h.{}.ln_2",
        mlp="transformer.h.{}.mlp",
        pre="transformer.h.{}.mlp.c_fc",
        down="transformer.h.{}.mlp.c_proj",
        final="transformer.ln_f",
        head="lm_head",
    ),
    "gptneox": NEOX,
    "phi3": {
        k: v
        for k, v in dict(
            LLAMA_LIKE, pre="model.layers.{}.mlp.gate_up_proj", act="model.layers.{}.mlp.activation_fn"
        ).items()
        if k not in ("up", "q", "k")
    },
}

PER_LAYER = {
    "resid_pre": "hook_resid_pre",
    "resid_mid": "hook_resid_mid",
    "resid_post": "hook_resid_post",
    "attn_in": "attn.hook_in",
    "q": "attn.hook_q",
    "k": "attn.hook_k",
    "v": "attn.hook_v",
    "rot_q": "attn.hook_rot_q",
    "rot_k": "attn.hook_rot_k",
    "attn_scores": "attn.hook_attn_scores",
    "pattern": "attn.hook_pattern",
    "z": "attn.hook_z",
    "attn_out": "hook_attn_out",
    "mlp_in": "mlp.hook_in",
    "mlp_pre": "mlp.hook_pre",
    "mlp_post": "mlp.hook_post",
    "mlp_out": "hook_mlp_out",
}
ONCE = {"embed": "hook_embed", "final_norm": "ln_final.hook_out", "logits": "logits"}


def full_name(point, layer):
    return ONCE[point] if layer is None else f"blocks.{layer}.{PER_LAYER[point]}"


def edit_values(rows, width):
    """What an edit adds to [rows, width]; the C test has the same formula. It differs by row: a softmax does not see the same vector added to all keys."""
    row, index = torch.arange(rows).unsqueeze(1), torch.arange(width).unsqueeze(0)
    return 0.5 * ((row * 7 + index * 37 + 11) % 23 - 11) / 11


class Points:
    def __init__(self, model, architecture):
        self.model = model.eval()
        self.paths = PATHS[architecture]
        self.n_layers = model.config.num_hidden_layers
        self.parallel = getattr(model.config, "use_parallel_residual", False)
        self.rotates = hasattr(self.modelling(), "apply_rotary_pos_emb")
        self.seen, self.asides, self.edited = {}, {}, None

    def modelling(self):
        return sys.modules[type(self.model).__module__]

    def part(self, name, layer=None):
        path = self.paths.get(name)
        if path is None:
            return None
        path = path.format(layer)
        return self.model.get_submodule(path)

    def visit(self, point, layer, tensor, order=None):
        """Records a point and gives what the model goes on with. `order` brings the tensor to [tokens, …] and back."""
        rows = tensor[0] if order is None else tensor[0].permute(order)
        name = full_name(point, layer)
        self.seen[name] = torch.where(rows < MASKED, -torch.inf, rows).clone()
        if self.edited != name:
            return tensor
        flat = rows.reshape(rows.shape[0], -1).clone()
        addition = edit_values(*flat.shape)
        if point == "attn_scores":
            flat = torch.where(flat < MASKED, flat, flat + addition)
        elif point == "pattern":
            flat = torch.where(flat == 0, flat, flat + addition)  # what the mask removed stays removed
        else:
            flat = flat + addition
        back = flat.reshape(rows.shape)
        if order is not None:
            back = back.permute([order.index(i) for i in range(len(order))])
        return back.unsqueeze(0)

    def aside(self, point, layer, what, tensor):
        self.asides[f"mistaken/{full_name(point, layer)}/{what}"] = tensor[0].detach().clone()

    # One method a kind of hook, so that attach() reads as a table.

    def on_output(self, handles, name, point, layer, split=None):
        def hook(_module, _inputs, output):
            if split is None:
                return self.visit(point, layer, output)
            first, rest = output.chunk(2, dim=-1)
            self.aside(point, layer, "other_half", rest)
            return torch.cat([self.visit(point, layer, first), rest], dim=-1)

        handles.append(self.part(name, layer).register_forward_hook(hook))

    def on_input(self, handles, name, point, layer):
        def hook(_module, inputs, kwargs):
            first = inputs[0] if inputs else kwargs["hidden_states"]
            changed = self.visit(point, layer, first)
            return ((changed,) + inputs[1:], kwargs) if inputs else (inputs, dict(kwargs, hidden_states=changed))

        handles.append(self.part(name, layer).register_forward_pre_hook(hook, with_kwargs=True))

    def keep_output(self, handles, name, point, layer, what):
        if self.part(name, layer) is not None:
            handles.append(
                self.part(name, layer).register_forward_hook(
                    lambda _m, _i, output: self.aside(point, layer, what, output)
                )
            )

    def keep_before_bias(self, handles, name, point, layer):
        module = self.part(name, layer)
        if module is not None and getattr(module, "bias", None) is not None:
            handles.append(
                module.register_forward_hook(
                    lambda m, _i, output: self.aside(point, layer, "before_bias", output - m.bias)
                )
            )

    def keep_around_norm(self, handles, name, point, layer):
        def hook(module, inputs, output):
            x = inputs[0]
            if getattr(module, "bias", None) is not None:
                plain = torch.nn.functional.layer_norm(x, x.shape[-1:], eps=module.eps)
            else:
                plain = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon(module))
            self.aside(point, layer, "before_gain", plain)
            self.aside(point, layer, "before_norm", x)

        handles.append(self.part(name, layer).register_forward_hook(hook))

    @staticmethod
    def epsilon(module):
        return module.eps if hasattr(module, "eps") else module.variance_epsilon

    def attach(self):
        handles = []
        if hasattr(self.part("embed"), "embed_scale"):
            handles.append(
                self.part("embed").register_forward_hook(
                    lambda m, _i, output: self.aside("embed", None, "before_scale", output / m.embed_scale)
                )
            )
        self.on_output(handles, "embed", "embed", None)
        for layer in range(self.n_layers):
            self.on_input(handles, "layer", "resid_pre", layer)
            self.on_output(handles, "layer", "resid_post", layer)
            self.keep_around_norm(handles, "attn_norm", "attn_in", layer)
            self.on_output(handles, "attn_norm", "attn_in", layer)
            self.keep_around_norm(handles, "mlp_norm", "mlp_in", layer)
            self.on_output(handles, "mlp_norm", "mlp_in", layer)
            if not self.parallel:
                handles.append(self.part("mlp_norm", layer).register_forward_pre_hook(self.read_resid_mid(layer)))
            for side in ("q", "k"):
                self.keep_before_bias(handles, side, side, layer)
                if self.part(f"{side}_norm", layer) is not None:
                    self.keep_output(handles, side, side, layer, "before_norm")
            self.on_input(handles, "out", "z", layer)
            self.keep_before_bias(handles, "out", "attn_out", layer)
            if self.part("attn_post", layer) is not None:
                self.keep_output(handles, "out", "attn_out", layer, "before_post_norm")
            self.on_output(
                handles, "attn_post" if self.part("attn_post", layer) is not None else "out", "attn_out", layer
            )
            gated_in_one = self.part("up", layer) is None and self.part("act", layer) is not None
            self.keep_before_bias(handles, "pre", "mlp_pre", layer)
            self.on_output(handles, "pre", "mlp_pre", layer, split=2 if gated_in_one else None)
            self.keep_output(handles, "up", "mlp_pre", layer, "up")
            self.keep_output(handles, "act", "mlp_post", layer, "activation_only")
            self.on_input(handles, "down", "mlp_post", layer)
            self.keep_before_bias(handles, "down", "mlp_out", layer)
            if self.part("mlp_post", layer) is not None:
                self.keep_output(handles, "mlp", "mlp_out", layer, "before_post_norm")
            self.on_output(handles, "mlp_post" if self.part("mlp_post", layer) is not None else "mlp", "mlp_out", layer)
        self.keep_around_norm(handles, "final", "final_norm", None)
        self.on_output(handles, "final", "final_norm", None)
        if getattr(self.model.config, "final_logit_softcapping", None):
            self.keep_output(handles, "head", "logits", None, "before_softcap")
        return handles

    def read_resid_mid(self, layer):
        def hook(_module, inputs):
            self.seen[full_name("resid_mid", layer)] = inputs[0][0].clone()

        return hook

    def run(self, tokens):
        """One forward pass with the model's attention opened up: rotation, attention and softmax are module functions, wrapped while it runs."""
        modelling, softmax = self.modelling(), torch.nn.functional.softmax
        attention = modelling.eager_attention_forward
        rotate = getattr(modelling, "apply_rotary_pos_emb", None)
        current = {"layer": None}

        def visiting_softmax(scores, *args, **kwargs):
            layer = current["layer"]
            if layer is None:
                return softmax(scores, *args, **kwargs)
            scores = self.visit("attn_scores", layer, scores, [1, 0, 2])
            return self.visit("pattern", layer, softmax(scores, *args, **kwargs), [1, 0, 2])

        def visiting_rotation(q, k, *args, **kwargs):
            layer = self.rotation_layer
            q, k = self.visit("q", layer, q, [1, 0, 2]), self.visit("k", layer, k, [1, 0, 2])
            q, k = rotate(q, k, *args, **kwargs)
            self.rotation_layer += 1
            return self.visit("rot_q", layer, q, [1, 0, 2]), self.visit("rot_k", layer, k, [1, 0, 2])

        def visiting_attention(module, query, key, value, mask, *args, **kwargs):
            layer = module.layer_idx
            if not self.rotates:
                query, key = self.visit("q", layer, query, [1, 0, 2]), self.visit("k", layer, key, [1, 0, 2])
            value = self.visit("v", layer, value, [1, 0, 2])
            groups = query.shape[1] // key.shape[1]
            raw = query @ key.repeat_interleave(groups, dim=1).transpose(2, 3)
            raw = torch.where(mask < MASKED, -torch.inf, raw)
            scaled = raw * kwargs["scaling"] if kwargs.get("scaling") else raw * query.shape[-1] ** -0.5
            self.aside("attn_scores", layer, "before_scale", raw.permute(0, 2, 1, 3))
            if kwargs.get("softcap"):
                self.aside("attn_scores", layer, "before_softcap", scaled.permute(0, 2, 1, 3))
            current["layer"] = layer
            try:
                return attention(module, query, key, value, mask, *args, **kwargs)
            finally:
                current["layer"] = None

        handles = self.attach()
        self.rotation_layer = 0
        modelling.eager_attention_forward, torch.nn.functional.softmax = visiting_attention, visiting_softmax
        if rotate is not None:
            modelling.apply_rotary_pos_emb = visiting_rotation
        try:
            with torch.no_grad():
                logits = self.model(torch.tensor(tokens, dtype=torch.long).unsqueeze(0), use_cache=False).logits
        finally:
            modelling.eager_attention_forward, torch.nn.functional.softmax = attention, softmax
            if rotate is not None:
                modelling.apply_rotary_pos_emb = rotate
            for handle in handles:
                handle.remove()
        return self.visit("logits", None, logits)[0]

    def read(self, tokens):
        self.seen, self.asides, self.edited = {}, {}, None
        self.run(tokens)
        return dict(self.seen), dict(self.asides)

    def edit(self, tokens, name):
        """Logits after edit_values were added at `name`."""
        # Between attention and MLP there is no module of its own: what is added there reaches both the residual stream and the MLP's norm,
        # as what is added to the attention's output does.
        self.edited = name.replace("hook_resid_mid", "hook_attn_out")
        try:
            return self.run(tokens)
        finally:
            self.edited = None
