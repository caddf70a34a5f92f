"""The networks of configs/bench/ as plain PyTorch modules, with the losses and samplers of their flows: what bfncl's
training and sampling steps are measured against (tests/peers/torch_ratio.py). sample_step takes its number i as a
tensor, so that one compiled version serves all steps."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def norm(channels):
    return nn.GroupNorm(min(32, channels), channels)


class Attention(nn.Module):
    """softmax(q k' / sqrt(d)) v over rows [B, T, C], with PyTorch's fused kernel."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(b, t, c))


class ImageAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm = norm(width)
        self.attention = Attention(width, heads)

    def forward(self, x):
        b, c, h, w = x.shape
        rows = self.norm(x).permute(0, 2, 3, 1).reshape(b, h * w, c)
        return x + self.attention(rows).view(b, h, w, c).permute(0, 3, 1, 2)


class TransformerBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm_1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attention(self.norm_1(x))
        return x + self.down(F.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class Transformer(nn.Module):
    def __init__(self, classes, length, width, blocks, heads):
        super().__init__()
        self.embed = nn.Linear(classes, width)
        self.time = nn.Linear(1, width)
        self.register_buffer("position", torch.randn(length, width))
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, theta, t):
        first = self.embed(2 * theta - 1) + self.position + self.time(2 * t.view(-1, 1, 1) - 1)
        x = first
        for block in self.blocks:
            x = block(x)
        return self.head(torch.cat([self.norm(x), first], -1))


class ResBlock(nn.Module):
    """Both image networks' residual block; they differ in the time code's activation and bias."""

    def __init__(self, inner, outer, time_width, time_bias):
        super().__init__()
        self.norm_1 = norm(inner)
        self.conv_1 = nn.Conv2d(inner, outer, 3, padding=1)
        self.time = nn.Linear(time_width, outer, bias=time_bias)
        self.norm_2 = norm(outer)
        self.conv_2 = nn.Conv2d(outer, outer, 3, padding=1)
        self.skip = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1)

    def forward(self, x, code):
        h = self.conv_1(F.silu(self.norm_1(x))) + self.time(code)[:, :, None, None]
        return self.skip(x) + self.conv_2(F.silu(self.norm_2(h)))


class Unet(nn.Module):
    """The official MNIST U-Net: theta [B, 28, 28] (probability of class 0) -> logit of class 1."""

    def __init__(self, width, mult, blocks, heads):
        super().__init__()
        self.width, code = width, 4 * width
        self.embed = nn.Linear(2, width)
        self.time = nn.Sequential(nn.Linear(width, code), nn.SiLU(), nn.Linear(code, code))
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.down, self.up, self.sample = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        stack, now = [width], width
        for level, m in enumerate(mult):
            for _ in range(blocks):
                self.down.append(ResBlock(now, m * width, code, True))
                now = m * width
                stack.append(now)
            if level + 1 < len(mult):
                self.down.append(nn.Conv2d(now, now, 3, stride=2, padding=1))
                stack.append(now)
        self.middle_1 = ResBlock(now, now, code, True)
        self.attention = ImageAttention(now, heads)
        self.middle_2 = ResBlock(now, now, code, True)
        for level, m in reversed(list(enumerate(mult))):
            for i in range(blocks + 1):
                self.up.append(ResBlock(now + stack.pop(), m * width, code, True))
                now = m * width
                grows = level > 0 and i == blocks
                self.sample.append(nn.Conv2d(now, now, 3, padding=1) if grows else nn.Identity())
        self.norm = norm(now)
        self.last = nn.Conv2d(now, width, 3, padding=1)
        self.head = nn.Linear(2 * width, 1)
        self.register_buffer("frequencies", torch.exp(-math.log(10000) * torch.arange(width // 2) / (width // 2)))

    def forward(self, theta, t):
        arg = 4000 * t[:, None] * self.frequencies
        code = F.silu(self.time(torch.cat([arg.cos(), arg.sin()], -1)))
        times = (2 * t - 1).view(-1, 1, 1).expand_as(theta)
        x0 = self.embed(torch.stack([2 * theta - 1, times], -1))
        x = self.first(x0.permute(0, 3, 1, 2))
        stack = [x]
        for part in self.down:
            x = part(x, code) if isinstance(part, ResBlock) else part(x)
            stack.append(x)
        x = self.middle_2(self.attention(self.middle_1(x, code)), code)
        for block, conv in zip(self.up, self.sample):
            x = block(torch.cat([x, stack.pop()], 1), code)
            if isinstance(conv, nn.Conv2d):
                x = conv(F.interpolate(x, scale_factor=2, mode="nearest"))
        out = self.last(F.silu(self.norm(x))).permute(0, 2, 3, 1)
        return self.head(torch.cat([x0, out], -1))[..., 0]


class VdmUnet(nn.Module):
    """The official CIFAR-10 network: mu [B, 32, 32, 3] -> mean and log deviation of the noise [B, 32, 32, 3, 2]."""

    def __init__(self, width, blocks, heads):
        super().__init__()
        code = 4 * width
        self.time = nn.Sequential(nn.Linear(width, code), nn.SiLU(), nn.Linear(code, code), nn.SiLU())
        self.first = nn.Conv2d(15, width, 3, padding=1)
        self.down = nn.ModuleList(ResBlock(width, width, code, False) for _ in range(blocks))
        self.middle_1 = ResBlock(width, width, code, False)
        self.attention = ImageAttention(width, heads)
        self.middle_2 = ResBlock(width, width, code, False)
        self.up = nn.ModuleList(ResBlock(2 * width, width, code, False) for _ in range(blocks + 1))
        self.norm = norm(width)
        self.last = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width + 3, 6)
        self.register_buffer("frequencies", torch.logspace(0, -4, width // 2))

    def forward(self, mu, t):
        arg = 1000 * (t[:, None] + 0.001) * self.frequencies
        code = self.time(torch.cat([arg.sin(), arg.cos()], -1))
        image = mu.permute(0, 3, 1, 2)
        waves = torch.cat([2 * math.pi * 2**n * image for n in (5, 6)], 1)
        x = self.first(torch.cat([image, waves.sin(), waves.cos()], 1))
        stack = [x]
        for block in self.down:
            x = block(x, code)
            stack.append(x)
        x = self.middle_2(self.attention(self.middle_1(x, code)), code)
        for block in self.up:
            x = block(torch.cat([x, stack.pop()], 1), code)
        out = self.last(F.silu(self.norm(x))).permute(0, 2, 3, 1)
        return self.head(torch.cat([mu, out], -1)).unflatten(-1, (3, 2))


class Categorical(nn.Module):
    """K classes: continuous-time loss and a sampling step. With K = 2 the network sees and gives one number."""

    def __init__(self, net, shape, classes, sqrt_beta):
        super().__init__()
        self.net, self.shape, self.classes, self.sqrt_beta = net, shape, classes, sqrt_beta

    def data(self, batch):
        return torch.randint(self.classes, (batch, *self.shape))

    def output(self, theta, t):
        if self.classes > 2:
            return self.net(theta, t).softmax(-1)
        one = self.net(theta[..., 0], t).sigmoid()
        return torch.stack([1 - one, one], -1)

    def forward(self, x):
        t = torch.rand(len(x))
        k, beta = self.classes, (self.sqrt_beta * t) ** 2
        beta = beta.view(-1, *[1] * x.dim())
        target = F.one_hot(x, k).float()
        theta = (beta * (k * target - 1) + (k * beta).sqrt() * torch.randn(*x.shape, k)).softmax(-1)
        square = (target - self.output(theta, t)).square().sum(-1)
        return k * self.sqrt_beta**2 * (t * square.flatten(1).mean(1)).mean()

    def prior(self, batch):
        return torch.full((batch, *self.shape, self.classes), 1 / self.classes)

    def sample_step(self, theta, i, steps):
        k, alpha = self.classes, (self.sqrt_beta / steps) ** 2 * (2 * i - 1)
        p = self.output(theta, ((i - 1) / steps).expand(len(theta)))
        drawn = torch.multinomial(p.flatten(0, -2), 1).view(p.shape[:-1])
        y = alpha * (k * F.one_hot(drawn, k) - 1) + (k * alpha).sqrt() * torch.randn_like(theta)
        return (theta.log() + y).softmax(-1)


class Discretised(nn.Module):
    """Values in bins, clipped normal output distribution: continuous-time loss and a sampling step."""

    def __init__(self, net, shape, bins, variance):
        super().__init__()
        self.net, self.shape, self.bins, self.variance = net, shape, bins, variance
        self.register_buffer("centres", (2 * torch.arange(bins) + 1) / bins - 1)
        self.register_buffer("edges", 2 * torch.arange(1, bins) / bins - 1)

    def data(self, batch):
        return self.centres[torch.randint(self.bins, (batch, *self.shape))]

    def output(self, mu, t):
        t = t.view(-1, 1, 1, 1)
        gamma = 1 - self.variance ** t.clamp(min=1e-6)
        noise, log_sd = self.net(mu, t.flatten()).unbind(-1)
        scale = ((1 - gamma) / gamma).sqrt()
        early = t < 1e-6
        mean = torch.where(early, 0.0, mu / gamma - scale * noise)
        return mean, torch.where(early, 1.0, scale * log_sd.exp()).clamp(1e-3, 10)

    def probabilities(self, mean, sd):
        z = (self.edges - mean[..., None]) / (sd[..., None] * math.sqrt(2))
        cdf = 0.5 * (1 + z.erf())
        return torch.cat([cdf[..., :1], cdf[..., 1:] - cdf[..., :-1], 1 - cdf[..., -1:]], -1)

    def forward(self, x):
        t = torch.rand(len(x))
        wide = t.view(-1, 1, 1, 1)
        gamma = 1 - self.variance**wide
        mu = gamma * x + (gamma * (1 - gamma)).sqrt() * torch.randn_like(x)
        mean = self.probabilities(*self.output(mu, t)) @ self.centres
        square = (x - mean).square().flatten(1).mean(1)
        return (-0.5 * math.log(self.variance) * square / self.variance**t).mean()

    def prior(self, batch):
        return torch.zeros(batch, *self.shape)

    def sample_step(self, mu, i, steps):
        mean, sd = self.output(mu, ((i - 1) / steps).expand(len(mu)))
        drawn = mean + sd * torch.randn_like(mean)
        drawn = self.centres[((drawn + 1) * (self.bins / 2)).floor().long().clamp(0, self.bins - 1)]
        alpha = self.variance ** (-i / steps) * (1 - self.variance ** (1 / steps))
        rho = self.variance ** (-(i - 1) / steps)
        y = drawn + torch.randn_like(drawn) / alpha.sqrt()
        return (rho * mu + alpha * y) / (rho + alpha)


def build(name):
    """The model and the training batch of configs/bench/NAME.yaml."""
    if name == "text":
        return Categorical(Transformer(27, 256, 384, 6, 6), (256,), 27, 0.75), 8
    if name == "mnist":
        return Categorical(Unet(64, (1, 2, 2), 2, 4), (28, 28), 2, 3.0), 16
    if name == "cifar":
        return Discretised(VdmUnet(64, 8, 1), (32, 32, 3), 256, 1e-6), 8
    raise ValueError(f"no benchmark model '{name}': text, mnist, cifar")
