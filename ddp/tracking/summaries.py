"""The summaries of TensorBoard's plugins, made of its messages alone.

TensorBoard's own functions import a hundred modules, and those of torch import torch.
"""

from collections.abc import Mapping

from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2

LAYOUT_TAG = "custom_scalars__config__"


def of_plugin(
    tag: str, plugin: str, content: bytes = b"", tensor: TensorProto | None = None
) -> Summary:
    """A summary for a plugin of TensorBoard. `content`: what the plugin keeps about the tag."""
    data = SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    metadata = SummaryMetadata(plugin_data=data)
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])


def text(tag: str, markdown: str) -> Summary:
    """A text of the tab Text."""
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype=DT_STRING, string_val=[markdown.encode()], tensor_shape=shape)
    return of_plugin(tag, "text", tensor=tensor)


def custom_scalars(layout: Mapping[str, Mapping[str, str]]) -> Summary:
    """The charts of the tab Custom Scalars. All groups but the first are folded.

    `layout`: title of a group -> title of a chart -> the regular expression of its tags.
    """

    def chart(title: str, tags: str) -> layout_pb2.Chart:
        lines = layout_pb2.MultilineChartContent(tag=[f"{tags}$"])
        return layout_pb2.Chart(title=title, multiline=lines)

    groups = [
        layout_pb2.Category(
            title=group, chart=[chart(*named) for named in charts.items()], closed=number > 0
        )
        for number, (group, charts) in enumerate(layout.items())
    ]
    content = layout_pb2.Layout(category=groups).SerializeToString()
    tensor = TensorProto(dtype=DT_STRING, string_val=[content], tensor_shape=TensorShapeProto())
    return of_plugin(LAYOUT_TAG, "custom_scalars", tensor=tensor)
